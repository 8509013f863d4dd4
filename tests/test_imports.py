"""Imports go one way, without a circle, and importing codectok stays light."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.import_graph import ROOT, circle, graph, imported, modules

EDGES = graph()
ROOMS = """
    errors extras log shipped fingerprint stops files settings registry processes audio tokens transforms items
    abilities facts streaming opening tokenizer codec units controls testing store corpus metrics
    llm.vocab llm.patterns llm.sequence llm.model llm.heads llm.pack llm.continuous llm.training llm.generate llm.scores
    llm inspect export pretrained cli
"""
ORDER = [f"codectok.{room}" for room in ROOMS.split()]
"""The rooms of the library from the ground up: each may import itself and those before it."""
MAY_IMPORT = {
    "codectok": {"codectok"},
    "train_codec": {"codectok", "train_codec"},
    "kmeans_units": {"codectok", "kmeans_units"},
    "benchmarks": {"codectok", "train_codec", "kmeans_units", "benchmarks"},
}
CONCRETE = ("codectok.codec", "codectok.units", "codectok.controls")
OUTSIDE = {"codectok", "codectok.__main__"}
"""The package's face and the module that starts it: no rooms."""


def floor(module: str) -> int | None:
    """Place of a module in ``ORDER``; None of one outside."""
    rooms = [room for room in ORDER if module == room or module.startswith(f"{room}.")]
    return ORDER.index(max(rooms, key=len)) if rooms else None


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_one_way(package: str) -> None:
    for module in (m for m in EDGES if m.partition(".")[0] == package):
        roots = {name.partition(".")[0] for name in EDGES[module]}
        assert roots <= MAY_IMPORT[package], f"{module} imports {roots - MAY_IMPORT[package]}"


def test_there_is_no_circle() -> None:
    assert not circle(EDGES), " -> ".join(reversed(circle(EDGES)))


def test_a_circle_would_be_found() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == {"b", "c"}
    assert not circle({"a": {"b", "c"}, "b": {"c"}, "c": set()})


def test_rooms_import_only_what_lies_below() -> None:
    library = [m for m in EDGES if m.partition(".")[0] == "codectok" and m not in OUTSIDE]
    homeless = [module for module in library if floor(module) is None]
    assert not homeless, f"give {homeless} a place in ORDER"
    upward = [f"{a} imports {b}" for a in library for b in sorted(EDGES[a]) if (floor(b) or 0) > (floor(a) or 0)]
    assert not upward, upward


@pytest.mark.parametrize("room", ["items", "corpus", "llm", "metrics", "store", "inspect"])
def test_rooms_know_no_concrete_model(room: str) -> None:
    for module, path in modules().items():
        if module.startswith(f"codectok.{room}"):
            concrete = [name for name in imported(module, path) if name.startswith(CONCRETE)]
            assert not concrete, f"{module} imports {concrete}"


def test_importing_codectok_is_light() -> None:
    heavy = ("torch", "numpy", "soundfile", "transformers")
    code = f"import sys, codectok; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"
