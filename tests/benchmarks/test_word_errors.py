"""The word-error bench with a judge that is told what to hear, and once with a tiny Whisper."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from benchmarks.studies.word_errors import Heard, main, score
from codectok import load
from codectok.metrics import MetricError
from codectok.metrics.judge import repeats_itself

pytest.importorskip("jiwer")

CLIPS = {"a.wav": ("en-US", "the cat sat"), "b.wav": ("fr-CA", ""), "c.wav": ("xx", "")}


def recording(index: int) -> np.ndarray:
    return np.random.default_rng(index).normal(0, 0.1, 16000)


class Judge:
    """Hears "the cat sat down" in every recording, and a word less in what pcm made of it (mu-law is never exact)."""

    def __init__(self, name: str) -> None:
        self.known: list[bytes] = []

    def transcribe(self, clips: list[np.ndarray], rate: int, languages: list[str]) -> list[str]:
        assert rate == 16000
        if languages == ["xx"]:
            raise MetricError("does not know the language 'xx'")
        (samples,) = clips
        assert np.array_equal(
            samples * 32768, np.round(samples * 32768)
        )  # decoded clips, too: as 16-bit files hold them
        exact = any(np.abs(samples - recording(i)).max() <= 2**-15 for i in range(len(CLIPS)))
        return ["The cat sat, down!" if exact else "the cat sat"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for i, name in enumerate(CLIPS):
        soundfile.write(tmp_path / name, recording(i), 16000)
    lines = [f"{name}\t{language}\t{text}" for name, (language, text) in CLIPS.items()]
    (tmp_path / "manifest.tsv").write_text("\n".join(["path\tlanguage\ttranscript", *lines, ""]))
    (tmp_path / "splits.tsv").write_text("path\tuse\n" + "".join(f"{name}\tval\n" for name in CLIPS))
    return tmp_path


def run(data: Path, *extra: str, judge: str = "none") -> Result:
    fixed = ["pcm", "--data", str(data), "--splits", str(data / "splits.tsv"), "--judge", judge]
    return CliRunner().invoke(main, [*fixed, *extra])


def test_rates(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.studies.word_errors.WhisperJudge", Judge)
    result = run(data, "--json", str(data / "out.json"), "--log", str(data / "log.jsonl"))
    assert result.exit_code == 1, result.output  # one clip was left out
    assert "failed: c.wav: does not know the language 'xx'" in result.stderr
    record: dict[str, Any] = json.loads((data / "out.json").read_text())
    original, decoded = record["rows"]
    assert (original["codebooks"], original["clips"], original["transcripts"]) == (None, 2, 1)
    assert "dWER" not in original
    # Against the transcript, what pcm made is right by luck, and the original has an insertion.
    assert (original["WER"], decoded["WER"]) == ([pytest.approx(1 / 3, abs=1e-5), None, None], [0, None, None])
    assert decoded["dWER"] == [0.25, 0.25, 0.25]
    assert decoded["dCER"][0] == pytest.approx(5 / 16)
    assert decoded["codebooks"] == 1
    assert record["failed"] == {"c.wav": "does not know the language 'xx'"}
    assert [clip["decoded"] for clip in record["clips"]] == [{"1": "the cat sat"}] * 2
    assert json.loads((data / "log.jsonl").read_text())["rows"] == record["rows"]


def test_a_loop_counts_unless_the_reference_is_one() -> None:
    loop, said = "and so, " * 40, "some words were said here"
    heard = [
        Heard("a", "en", said, loop, {1: said}),
        Heard("b", "en", "", said, {1: loop}),
        Heard("c", "en", "", said, {1: said}),
    ]
    original, decoded = score(heard, [1], load("pcm"))
    assert (original["loops"], original["clips"], original["transcripts"]) == (1, 3, 1)
    assert original["WER"][0] > 10
    assert (decoded["loops"], decoded["clips"]) == (1, 2)
    assert decoded["dWER"][0] == 8  # 80 words in place of 5, over 10
    assert decoded["WER"][0] == 0


def test_a_tiny_whisper_judges(data: Path) -> None:
    pytest.importorskip("transformers")
    from tests.metrics.test_judge import write_whisper

    judge = str(write_whisper(data / "whisper"))
    result = run(data, "--limit", "2", judge=judge)
    assert result.exit_code == 0, result.output
    assert "d" in result.stdout


def test_clips_without_a_language_are_refused(data: Path) -> None:
    (data / "manifest.tsv").write_text("path\tlanguage\na.wav\ten\n")
    result = run(data)
    assert result.exit_code == 2
    assert "no language for b.wav" in result.stderr


def test_no_clips_is_an_error(data: Path) -> None:
    result = run(data, "--use", "nosuch")
    assert result.exit_code == 2
    assert "no clips" in result.stderr


def test_loops_are_told_from_sentences() -> None:
    assert repeats_itself("and so, and so, " * 20)
    assert not repeats_itself("After the tone, say your name and then press the pound key.")
    assert not repeats_itself("")
