"""Phones are told by the middle of the span that a frame stands for, which the encoder's offset moves."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from codectok.items.corpus import read_corpus
from codectok.metrics.items import AbxItem
from codectok.metrics.segments import Segment
from codectok.metrics.unit_report import phone_scores
from codectok.tokenizer import Tokenizer
from kmeans_units import score as work
from kmeans_units.columns import read_rows

RATE, HOP = 16000, 320
PHONES = (("SIL", 0.113), ("AA", 0.31), ("S", 0.329), ("IY", 0.5021), ("SIL", 0.7))
"""With their ends in seconds: none on the border of a frame."""


class Counting(Tokenizer):
    """Frame t is unit t: which frames are meant can be read from the units."""

    name, sample_rate, frame_rate, fingerprint = "counting", RATE, Fraction(RATE, HOP), "counting"
    codebook_sizes, feature_dim = (64,), 1

    def __init__(self, offset: int) -> None:
        self.encoder = SimpleNamespace(offset=offset, layers=(0,), layer_dim=1, name_or_path="", convention="hf")
        self.streams = (SimpleNamespace(layer_index=0, sizes=(64,)),)

    def num_frames(self, num_samples):
        return -(-num_samples // HOP)

    def _encode(self, clips, num_codebooks):
        return [torch.arange(self.num_frames(len(c)))[None] for c in clips]

    def _features(self, clips):
        return [c[0, :, None].float() for c in self._encode(clips, 1)]


def segments() -> list[Segment]:
    starts = [0.0, *(end for _, end in PHONES)]
    return [Segment(a, end, phone) for a, (phone, end) in zip(starts, PHONES, strict=False)]


def heard_at(seconds: float) -> str | None:
    """Slowly, one frame at a time."""
    for s in segments():
        if s.onset <= seconds < s.offset:
            return s.label
    return None


@pytest.mark.parametrize("offset", [-160, 0, 40, 840])
def test_labels_are_of_the_samples_that_frames_stand_for(tmp_path: Path, offset: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(int(0.7 * RATE)), RATE)
    tokenizer = Counting(offset)
    encoded = work.encode(tokenizer, read_rows(read_corpus(tmp_path)), str(tmp_path), num_codebooks=1)
    [labels] = work.labels_of(encoded, {"a.wav": segments()}, tokenizer)
    known = sorted({s.label for s in segments()})
    slowly = [heard_at((offset + t * HOP + HOP / 2) / RATE) for t in range(35)]
    assert [known[i] if i >= 0 else None for i in labels] == slowly
    scores = work.codebook_scores(tokenizer, encoded, {"a.wav": segments()}, 10, 0)
    expected = phone_scores([np.arange(35)], [labels], resamples=10, seed=0).to_json()
    assert scores[0]["phones"] == expected


@pytest.mark.parametrize(("offset", "first", "stop"), [(-160, 6, 16), (0, 6, 16), (840, 3, 13)])
def test_items_are_of_the_frames_whose_middle_they_hold(tmp_path: Path, offset: int, first: int, stop: int) -> None:
    item = AbxItem("a", Fraction("0.113"), Fraction("0.31"), "AA", "SIL", "S", "s")
    middles = [(offset + t * HOP + HOP / 2) / RATE for t in range(35)]
    inside = [t for t, seconds in enumerate(middles) if 0.113 <= seconds <= 0.31]
    assert (inside[0], inside[-1] + 1) == (first, stop)
    assert item.frames(Fraction(50), work.first_frame(Counting(offset))) == (first, stop)


def test_a_tokenizer_without_an_encoder_has_no_offset() -> None:
    import codectok

    assert work.first_frame(codectok.load("random")) == 0
