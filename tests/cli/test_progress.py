"""Off a terminal a long command writes a line a minute, a short one or one with -q none."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from codectok.cli.progress import EVERY, LineProgress, duration, progress
from tests.commands import run
from tests.corpus.energy import EnergyTokenizer
from tests.kmeans.fake_encoder import write_corpus


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines() -> None:
    clock = Clock()
    shown = LineProgress(40, "packing", clock)
    clock.now = 60
    assert shown.line() == "packing: 60 s so far"
    shown.advance(20)  # of an earlier run: they took no time, and say nothing of the pace
    assert shown.line() == "packing: 50%, 20/40, 60 s so far"
    clock.now = 180
    shown.advance(5)
    shown.note("clip7")
    assert shown.line() == "packing: 62%, 25/40, clip7, 3 min so far, 6 min left"
    shown.advance(15)
    assert shown.line() == "packing: 100%, 40/40, clip7, 3 min so far"


def test_lines_of_a_share_and_of_no_total() -> None:
    clock = Clock()
    share, endless = LineProgress(1.0, "tokenizing", clock), LineProgress(None, "aligning", clock)
    for shown in (share, endless):
        shown.advance(0.25 if shown is share else 3)
        clock.now += 30
    share.note("50/100")
    share.advance(0.25)
    assert share.line() == "tokenizing: 50%, 50/100, 60 s so far, 2 min left"
    assert endless.line() == "aligning: 3 done, 60 s so far"


@pytest.mark.parametrize(
    ("seconds", "words"), [(45, "45 s"), (719, "12 min"), (3 * 3600 + 299, "3 h 05 min"), (52 * 3600, "2 d 4 h")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_step_that_takes_long_is_told_of_and_nothing_after(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert EVERY == 60
    monkeypatch.setattr("codectok.cli.progress.EVERY", 0.01)
    with progress(2, "packing"):
        time.sleep(0.2)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) > 1
    assert set(lines) == {"packing: 0 s so far"}
    time.sleep(0.05)
    assert not capfd.readouterr().err


class Patient(EnergyTokenizer):
    """Takes a while for each batch."""

    def _encode(self, clips: list[Any], num_codebooks: int) -> list[Any]:
        time.sleep(0.1)
        return super()._encode(clips, num_codebooks)


COMMANDS = {
    "tokenizing": "tokenize corpus --workers 1 -o",
    "encode": "encode corpus --tokenizer patient -o",
    "segmenting": "corpus segment corpus --max 0.1 -o",
    "BPE": "units bpe store --vocab-size 200 -o",
    "verifying": "verify store",
    "k-means": "units fit logmel.yaml -o",
}
"""By the word that lines begin with; those that write get a name."""


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A corpus, and a store of it, in the folder that is worked in; every command finds the slow tokenizer."""
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path / "corpus", [1.5] * 40)
    (tmp_path / "logmel.yaml").write_text("{encoder: logmel, layer: 0, data: corpus, k: 64}")
    monkeypatch.setattr("codectok.opening.open_named", lambda name, device="cpu": Patient())
    assert run("tokenize", "corpus", "-o", "store", "--workers", "1", "-q").exit_code == 0


@pytest.mark.parametrize("label", COMMANDS)
def test_commands(label: str, corpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def lines(name: str, *options: str) -> list[str]:
        """What the command writes that begins with the word."""
        arguments = COMMANDS[label].split()
        result = run(*arguments, *[name] * (arguments[-1] == "-o"), *options)
        assert result.exit_code == 0, result.output
        return re.findall(rf"^{label}: .*\d+ s so far", result.stderr, re.MULTILINE)

    assert not lines("a.jsonl" if label == "segmenting" else "a")
    monkeypatch.setattr("codectok.cli.progress.EVERY", 1e-3)
    assert lines("b.jsonl" if label == "segmenting" else "b")
    assert not lines("c.jsonl" if label == "segmenting" else "c", "-q")
