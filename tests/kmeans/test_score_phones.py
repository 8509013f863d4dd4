"""Forced alignment: words as they are spoken, phones that tile the clip, and clips that are counted instead."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from codectok.errors import CodectokError
from codectok.metrics.segments import SILENCE, Segment
from kmeans_units.phones import RATE, Aligner, _segments, align_clips, spoken_words


@pytest.mark.parametrize(("text", "words"), [
    ("Press 1, or the pound key.", "press one or the pound key"), ("90 and 42!", "ninety and forty two"),
    ("It\u2019s o'clock - 'em 'quoted'", "it's o'clock 'em quoted"),
    ("[noise] Call-Forward 15 0", "call forward fifteen zero"),
])  # fmt: skip
def test_words_as_they_are_spoken(text: str, words: str) -> None:
    assert spoken_words(text) == words.split()


@pytest.mark.parametrize("text", ["call 911", "route 07", "h323", "", "[noise]", "?!"])
def test_what_is_not_known_to_be_spoken_is_refused(text: str) -> None:
    with pytest.raises(CodectokError):
        spoken_words(text)


def test_frames_become_segments_without_gaps() -> None:
    phones = [("SIL", 0, 10), ("+NSN+", 10, 12), ("T", 12, 20), ("AH", 20, 33), ("SIL", 33, 33)]
    found = _segments(phones, 5500)
    assert [s.label for s in found] == [SILENCE, "T", "AH", SILENCE]
    # Frame t stands for samples 160 t + 125 to 160 t + 285.
    assert [round(s.offset * RATE) for s in found] == [12 * 160 + 125, 20 * 160 + 125, 33 * 160 + 125, 5500]
    assert [s.onset for s in found] == [0.0, *(s.offset for s in found[:-1])]


def test_alignment_gives_the_phones_of_the_words() -> None:
    """Of noise, which any words fit as badly: what is tested is that phones come in order and tile the clip."""
    pytest.importorskip("pocketsphinx")
    rng = np.random.default_rng(0)
    noise = lambda: 0.1 * rng.standard_normal(RATE)  # noqa: E731
    made = align_clips([("a", "No keys", noise), ("b", "no xyzzyq", noise), ("c", "no 911", noise)])
    assert [s.label for s in made.clips["a"] if s.label != SILENCE] == ["N", "OW", "K", "IY", "Z"]
    assert (made.clips["a"][0].onset, made.clips["a"][-1].offset) == (0, 1)
    assert made.num_phones == 5
    assert made.seconds == 1
    assert "xyzzyq" in made.failed["b"]
    assert "911" in made.failed["c"]


def test_an_alignment_does_not_depend_on_the_clip_before() -> None:
    pytest.importorskip("pocketsphinx")
    rng = np.random.default_rng(1)
    clip, other = 0.1 * rng.standard_normal(RATE), 0.3 * rng.standard_normal(RATE)
    aligner = Aligner()
    alone = aligner.align(clip, "seven")
    aligner.align(other, "no keys")
    assert aligner.align(clip, "seven") == alone
    assert isinstance(alone[0], Segment)


def test_a_missing_aligner_is_said_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(CodectokError, match="pip install"):
        Aligner()


def test_labels_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--align`` writes its table, and reads it the next time."""
    import soundfile
    from click.testing import CliRunner

    from kmeans_units.score_cli import score

    pytest.importorskip("pocketsphinx")
    rng = np.random.default_rng(2)
    lines = ["path\ttranscript"]
    for name, text in (("a", "seven"), ("b", "seven"), ("c", "xyzzyq"), ("d", "")):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal(RATE), RATE)
        lines.append(f"{name}.wav\t{text}")
    (tmp_path / "m.tsv").write_text("\n".join(lines) + "\n")
    args = ["random", str(tmp_path / "m.tsv"), "--align", "--phones", str(tmp_path / "p.tsv"), "--robustness", "0",
            "--resamples", "20"]  # fmt: skip
    first = CliRunner().invoke(score, args)
    assert (first.exit_code, "xyzzyq" in first.stderr) == (1, True), first.stderr
    table = (tmp_path / "p.tsv").read_text()
    assert {line.split("\t")[0] for line in table.splitlines()} == {"path", "a.wav", "b.wav"}
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    again = CliRunner().invoke(score, args)
    assert again.exit_code == 0, again.stderr
    assert (tmp_path / "p.tsv").read_text() == table
