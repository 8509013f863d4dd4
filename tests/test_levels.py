"""What the defaults decode is as loud as what was encoded, in every octave, without bursts and without clipping.

On packaged clips of speakers that no default was trained on, as 16-bit files. Bounds are what the weights keep, with
some margin; the goals and how far from them the weights are stand in the model cards.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from codectok import Tokenizer, load, read_audio
from codectok.metrics import compute
from codectok.metrics.level import OCTAVE_METRICS

ROOT = Path(__file__).parents[1]
NAMES = ("level", *OCTAVE_METRICS, "loud_frames", "clipped", "peak")


def table(path: str) -> list[dict[str, str]]:
    with open(ROOT / path, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@cache
def clips(voice: str = "") -> list[np.ndarray]:
    """Clips of at least 1.5 s, float32 at 16 kHz: of speakers in no fit, or those of a voice that are in no fit."""
    splits = table("codectok/pretrained/speech/splits.tsv")
    heard = {row["speaker"] for row in splits if row["use"] == "fit"}
    kept = {Path(row["path"]).stem for row in splits if row["speaker"] == voice and row["use"] != "fit"}
    rows = [r for r in table("benchmarks/mini/clips.tsv") if float(r["seconds"]) >= 1.5]
    if voice:
        rows = [r for r in rows if r["speaker"] == voice and Path(r["path"]).stem in kept]
    else:
        rows = [r for r in rows if r["speaker"] not in heard]
    found = [read_audio(ROOT / "benchmarks/mini" / row["path"]) for row in rows]
    assert len(found) >= 20
    assert {rate for _, rate in found} == {16000}
    return [audio for audio, _ in found]


def measured(tokenizer: Tokenizer, count: int, voice: str = "") -> dict[str, np.ndarray]:
    """Each metric of each clip, and ``original peak``."""
    values: dict[str, list[float]] = {name: [] for name in (*NAMES, "original peak")}
    for audio in clips(voice):
        decoded = tokenizer.decode(tokenizer.encode(audio, 16000, num_codebooks=count))
        found, failed = compute(NAMES, audio, decoded, 16000)
        assert not failed
        for name in NAMES:
            values[name].append(found[name])
        values["original peak"].append(compute(("peak",), audio, audio, 16000)[0]["peak"])
    return {name: np.array(v) for name, v in values.items()}


@pytest.mark.parametrize(
    ("name", "count", "level", "most", "octaves", "loud"),
    [
        ("speech-1", 24, 1.0, 3.0, 4.5, 4.0),
        ("speech-1", 6, 1.5, 6.5, 2.5, 13.0),
        ("speech-2", 24, 1.0, 3.0, 3.0, 2.0),
        ("speech-2", 6, 1.0, 3.0, 3.0, 8.0),
    ],
)
def test_defaults_are_as_loud_as_what_they_encode(
    name: str, count: int, level: float, most: float, octaves: float, loud: float
) -> None:
    """Bounds in dB: of the median level, the level of 90 % of the clips, each octave's median; loud frames in %."""
    found = measured(load(name), count)
    assert abs(np.median(found["level"])) <= level
    assert np.quantile(np.abs(found["level"]), 0.9) <= most
    for octave in OCTAVE_METRICS:
        assert abs(np.median(found[octave])) <= octaves, octave
    assert found["loud_frames"].mean() <= loud
    assert found["clipped"].mean() <= 0.01
    assert found["peak"].mean() <= found["original peak"].mean()


def test_the_voice_of_units_is_as_loud_as_speech_without_bursts() -> None:
    """Units say nothing of level, so level is that of most speech; spectrum and bursts are told on the voice's own."""
    units = load("units")
    others, own = measured(units, 1), measured(units, 1, "allison")
    assert abs(np.median(others["level"])) <= 2
    for octave in OCTAVE_METRICS:
        assert abs(np.median(own[octave] - own["level"])) <= 4, octave
    assert own["loud_frames"].mean() <= 18
    for found in (others, own):
        assert found["clipped"].mean() <= 0.01
        assert found["peak"].mean() <= found["original peak"].mean()
