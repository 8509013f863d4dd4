"""Every public name shows how it is used, and its example is run."""

from __future__ import annotations

import doctest
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import codectok
from codectok import Tokenizer, Tokens
from codectok.corpus.pipeline import tokenize_corpus
from codectok.items.corpus import read_corpus

PACKAGES = ("codectok", "codectok.testing", "codectok.store", "codectok.llm", "codectok.units", "codectok.metrics")
MODULES = ("codectok.registry", "codectok.corpus.pipeline", "codectok.items.corpus")
"""Modules whose functions and classes without an underscore are all public."""
WITHOUT = {"codectok.testing.CLAUSES": "a constant has no docstring of its own"}
"""Public names that have no example, and why."""
KNOWN = {"codectok": codectok, "np": np, "torch": torch, "Path": Path}
"""What every example takes as imported."""


def public() -> Iterator[tuple[str, Any]]:
    """Name and object of all that a program may lean on; of the two classes that it meets most, each method too."""
    for package in PACKAGES:
        module = importlib.import_module(package)
        yield from ((f"{package}.{name}", getattr(module, name)) for name in module.__all__)
    for name in MODULES:
        module = importlib.import_module(name)
        members = inspect.getmembers(module, lambda m: inspect.isfunction(m) or inspect.isclass(m))
        yield from ((f"{name}.{n}", m) for n, m in members if m.__module__ == name and not n.startswith("_"))
    for of in (Tokenizer, Tokens):
        yield from ((f"{of.__name__}.{n}", m) for n, m in inspect.getmembers(of, inspect.isfunction) if n[0] != "_")


NAMES = dict(public())


def examples(name: str) -> list[doctest.DocTest]:
    """The example in a name's own docstring."""
    finder = doctest.DocTestFinder(recurse=False)
    return [t for t in finder.find(NAMES[name], name, module=False, globs=KNOWN) if t.examples]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples find where they run: a.wav, corpus/ (one file of it broken), manifest.csv, store/."""
    folder = tmp_path_factory.mktemp("examples")
    for name, seconds in (("a.wav", 1.0), ("corpus/a.wav", 0.2), ("corpus/b.wav", 0.3)):
        (folder / name).parent.mkdir(exist_ok=True)
        codectok.write_audio(folder / name, np.zeros(round(16000 * seconds)), 16000)
    (folder / "corpus/broken.wav").write_bytes(b"")
    (folder / "manifest.csv").write_text("id,path,text\na,corpus/a.wav,hello\n")
    tokenize_corpus(read_corpus(folder / "corpus"), codectok.load("random"), folder / "store")
    return folder


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITHOUT])
def test_the_example_of_every_public_name_runs(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("codectok.registry._added", {})
    found = examples(name)
    assert found, f"the docstring of {name} has no example: add one after >>>"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert not any(runner.run(test).failed for test in found), capsys.readouterr().out


def test_names_without_an_example_are_few() -> None:
    assert len(WITHOUT) <= 3
    assert not [name for name in WITHOUT if examples(name)]
