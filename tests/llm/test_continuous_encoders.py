"""Several encoders: exact alignment of frame rates by a slow reference in fractions, and their concatenation."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok import CodectokError
from codectok.llm.continuous import EncoderConcat, align_frames, aligned_length

RATES = st.builds(Fraction, st.integers(1, 60), st.integers(1, 4))


@given(st.integers(0, 60), RATES, RATES)
@settings(max_examples=80, deadline=None)
def test_equals_the_slow_reference(frames: int, rate: Fraction, to: Fraction) -> None:
    # Time goes on until the last output frame that begins while there is input.
    begun = 0
    while begun / to < frames / rate:
        begun += 1
    assert aligned_length(frames, rate, to) == begun
    x, expected = torch.randn(frames, 2), []
    for j in range(begun):
        first = math.floor(j * rate / to)
        last = max(first + 1, math.floor((j + 1) * rate / to))
        expected.append(x[first:last].mean(0))
    out, lengths = align_frames(x[None], None, rate, to)
    assert lengths.tolist() == [begun]
    assert out.shape == (1, begun, 2)
    if begun:
        assert torch.allclose(out[0], torch.stack(expected), atol=1e-5)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=4), RATES, RATES)
@settings(max_examples=40, deadline=None)
def test_padding_never_reaches_a_valid_frame(lengths: list[int], rate: Fraction, to: Fraction) -> None:
    clips = [torch.randn(n, 2) for n in lengths]
    x = torch.full((len(clips), 33, 2), float("nan"))
    for row, c in zip(x, clips, strict=True):
        row[: len(c)] = c
    out, counts = align_frames(x, lengths, rate, to)
    for row, n, c in zip(out, counts.tolist(), clips, strict=True):
        assert torch.allclose(row[:n], align_frames(c[None], None, rate, to)[0][0], atol=1e-6)
        assert not row[n:].any()


def test_no_drift_over_an_hour() -> None:
    """86.13 frames/s (44.1 kHz by 512) against 50: a rate rounded to 86 would be 5.4 s off in the end."""
    rate = Fraction(44100, 512)
    frames = math.ceil(3600 * rate)
    seconds = torch.arange(frames, dtype=torch.float64)[None, :, None] / float(rate)
    out, lengths = align_frames(seconds, None, rate, Fraction(50))
    assert lengths.tolist() == [3600 * 50 + 1]
    error = (out[0, :, 0] - torch.arange(len(out[0])) / 50).abs().max()
    assert float(error) < 1 / float(rate)


def test_concatenation() -> None:
    joined = EncoderConcat([2, 3], [50, Fraction(25, 2)])
    a, b = torch.randn(2, 12, 2), torch.randn(2, 3, 3)
    out, lengths = joined([a, b], [[12, 7], [3, 1]])
    assert lengths.tolist() == [joined.out_length(12, 3), joined.out_length(7, 1)] == [12, 4]
    assert out.shape == (2, 12, joined.out_dim)
    assert torch.allclose(out[0, :, :2], joined.norms[0](a[0]))
    assert torch.allclose(out[0, :, 2:], joined.norms[1](b[0]).repeat_interleave(4, 0))
    assert not out[1, 4:].any()
    out.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in joined.parameters())


def test_to_a_rate_of_its_own() -> None:
    joined = EncoderConcat([2, 2], [50, 50], rate=25)
    out, lengths = joined([torch.ones(1, 6, 2), torch.ones(1, 7, 2)])
    assert lengths.tolist() == [3]
    assert out.shape == (1, 3, 4)


def test_what_does_not_fit_is_said() -> None:
    for dims, rates, rate in (([2], [50, 50], None), ([], [], None), ([2], [0], None), ([2], [50], 0)):
        with pytest.raises(CodectokError):
            EncoderConcat(dims, rates, rate)
    with pytest.raises(CodectokError, match="1 features for 2 encoders"):
        EncoderConcat([2, 2], [50, 50])([torch.ones(1, 3, 2)])
