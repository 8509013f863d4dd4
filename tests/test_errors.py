"""One tree of errors: nothing else is raised on purpose, and their fields survive the way between processes."""

from __future__ import annotations

import ast
import builtins
import importlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import codectok
from codectok import registry
from codectok.errors import (
    AudioError,
    CodectokError,
    CodeRangeError,
    FingerprintError,
    FormatError,
    MissingPackageError,
    UnknownNameError,
    UnknownTokenizerError,
)
from codectok.processes import map_ahead
from codectok.settings.build import build_from
from codectok.tokenizer import Tokenizer

ROOT = Path(__file__).parents[1]
PACKAGES = ("codectok", "train_codec", "kmeans_units", "benchmarks")
CAUGHT_AT_ONCE = {
    "codectok/items/readers/lhotse.py",
    "codectok/llm/pack/code_rows.py",
    "codectok/store/formats/lhotse.py",
    "codectok/store/formats/line_file.py",
    "codectok/store/formats/kaldi.py",
    "codectok/store/formats/parquet.py",
    "codectok/store/formats/webdataset.py",
    "codectok/store/info.py",
    "codectok/store/label_columns.py",
    "codectok/store/npy.py",
    "codectok/store/reader.py",
    "kmeans_units/reservoir.py",
}
"""Parsers whose plain errors become a FormatError in what calls them, which knows the file and the line."""
PYTHONS = {
    "codectok/cli/source_help.py": {"ImportError"},
    "codectok/files/atomic.py": {"FileExistsError"},
    "codectok/items/decoded.py": {"OSError"},
    "codectok/processes/inline.py": {"RuntimeError"},
    "codectok/processes/pool.py": {"RuntimeError"},
}
"""What Python's own protocols ask for, what is an error of the operating system, and what is a bug of the caller."""
EVERY = {
    AudioError("m", path=Path("a.wav")): {"path": "a.wav"},
    FormatError("m", path="f", key="a.b", given=[1], allowed="text"): {
        "path": "f",
        "key": "a.b",
        "given": [1],
        "allowed": "text",
    },
    FingerprintError("m", wanted="1", found="2"): {"wanted": "1", "found": "2"},
    CodeRangeError("m", code=9, size=8, codebook=0): {"code": 9, "size": 8, "codebook": 0},
    UnknownNameError("m", name="x", kind="metrics", known=("y",)): {"name": "x", "kind": "metrics", "known": ["y"]},
    UnknownTokenizerError("m", name="x"): {"name": "x", "kind": None, "known": None},
    MissingPackageError("m", package="p", extra="llm"): {"package": "p", "extra": "llm"},
}


def raised() -> Iterator[tuple[str, str]]:
    """File and name of every exception of Python's own that is raised by name."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                made = node.exc.func if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) else None
                if isinstance(made, ast.Name) and hasattr(builtins, made.id):
                    yield path.relative_to(ROOT).as_posix(), made.id


def error_classes() -> list[type[Any]]:
    """Every class of the tree, wherever it is."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if "Error)" in path.read_text(encoding="utf-8") and path.name != "__main__.py":
                importlib.import_module(
                    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
                )
    found, waiting = [], [CodectokError]
    while waiting:
        found += waiting
        waiting = [below for c in waiting for below in c.__subclasses__()]
    return [c for c in dict.fromkeys(found) if c.__module__.partition(".")[0] in PACKAGES]


def test_only_errors_of_the_tree_are_raised() -> None:
    others = [(file, name) for file, name in raised() if name not in PYTHONS.get(file, ())]
    assert not [x for x in others if x[0] not in CAUGHT_AT_ONCE and x[1] != "AttributeError"]
    assert {file for file, _ in others} >= CAUGHT_AT_ONCE, "the list has files that raise nothing of the kind"


@pytest.mark.parametrize("error", EVERY, ids=lambda e: type(e).__name__)
def test_fields(error: CodectokError) -> None:
    for e in (error, pickle.loads(pickle.dumps(error)), error.within("line 3")):
        assert type(e) is type(error)
        assert {name: getattr(e, name) for name in EVERY[error]} == EVERY[error]
    assert str(error) == "m"
    assert str(error.within("line 3")) == "line 3: m"
    assert all(getattr(type(error)("m"), name) is None for name in EVERY[error])


def test_every_error_survives_pickling() -> None:
    classes = error_classes()
    assert len(classes) > 15
    for c in classes:
        error = c("an item", "a reason") if c.__name__ == "WorkerDied" else c("a message")
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is c
        assert (str(again), again.__dict__) == (str(error), error.__dict__)


def _refuse(item: int) -> int:
    raise CodeRangeError(f"item {item}", code=item, size=2, codebook=1)


def test_fields_cross_the_border_of_a_process() -> None:
    with pytest.raises(CodeRangeError, match="item 7") as caught:
        list(map_ahead(_refuse, [7], 1))
    assert (caught.value.code, caught.value.size, caught.value.codebook) == (7, 2, 1)
    with pytest.raises(CodeRangeError, match="item 7") as caught:
        list(map_ahead(_refuse, [7, 7], 2))
    assert (caught.value.code, caught.value.size, caught.value.codebook) == (7, 2, 1)


def test_fields_are_filled(tmp_path: Path) -> None:
    with pytest.raises(AudioError) as audio:
        codectok.read_audio(tmp_path / "none.wav")
    assert audio.value.path == str(tmp_path / "none.wav")
    pcm: Tokenizer = codectok.load("pcm")
    with pytest.raises(CodeRangeError) as code:
        pcm.tokens(torch.tensor([[0, 256]]), 2)
    assert (code.value.code, code.value.size, code.value.codebook) == (256, 256, 0)
    with pytest.raises(FingerprintError) as prints:
        pcm.decode(codectok.load("random").tokens(torch.tensor([[0]]), 640))
    assert prints.value.wanted == pcm.fingerprint
    assert prints.value.found == codectok.load("random").fingerprint
    with pytest.raises(UnknownNameError) as name:
        registry.find("metrics", "pesk")
    assert (name.value.name, name.value.kind) == ("pesk", "metrics")
    assert "pesq" in (name.value.known or ())
    assert str(name.value) == "no metric 'pesk': did you mean pesq?"
    with pytest.raises(UnknownTokenizerError) as tokenizer:
        codectok.load("no such")
    assert (tokenizer.value.name, tokenizer.value.kind) == ("no such", "tokenizers")


def test_refused_settings_name_key_and_value() -> None:
    from train_codec.settings import RunSettings

    with pytest.raises(FormatError) as wrong:
        build_from(RunSettings, {"out": "x", "steps": "many"}, "r.yaml")
    assert (wrong.value.key, wrong.value.given) == ("steps", "many")
    assert "whole number" in (wrong.value.allowed or "")
    with pytest.raises(FormatError) as unknown:
        build_from(RunSettings, {"out": "x", "stepz": 1}, "r.yaml")
    assert unknown.value.key == "stepz"
    assert "steps" in (unknown.value.allowed or "").split(", ")
