"""Crops are a pure function of (seed, step), on the hop grid, and the same however many processes share them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok import CodectokError
from train_codec.augment import Augment, Augmenter
from train_codec.data import ClipArray, ClipSpan, draw, prefetch


def array(lengths: list[int], seed: int = 0) -> ClipArray:
    samples = np.random.default_rng(seed).integers(-9000, 9000, sum(lengths)).astype(np.int16)
    starts = np.cumsum([0, *lengths[:-1]])
    return ClipArray(
        samples, [ClipSpan(str(i), int(s), n) for i, (s, n) in enumerate(zip(starts, lengths, strict=True))], 16000
    )


ALL = Augment(
    speed_prob=0.5,
    reverb_prob=0.5,
    noise_prob=0.5,
    lowpass_prob=0.5,
    gain_prob=0.5,
    polarity_prob=0.5,
    reverb_rt60_max=0.2,
)


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 900), min_size=1, max_size=6),
    step=st.integers(0, 10**9),
    length=st.integers(1, 500),
    hop=st.integers(1, 300),
)
def test_crops_are_what_they_say(lengths: list[int], step: int, length: int, hop: int) -> None:
    clips = array(lengths)
    batch = draw(clips, step, 7, 5, length, hop)
    assert batch.audio.shape == (5, length)
    assert batch.audio.dtype == torch.float32
    assert batch.aligned.all()
    for row, index, start, valid in zip(batch.audio, batch.clip, batch.start, batch.valid_samples, strict=True):
        clip = clips.clips[int(index)]
        assert int(start) % hop == 0
        assert int(valid) == min(length, clip.length)
        assert 0 <= int(start) <= max(0, clip.length - length)
        expected = clips.read(clip)[int(start) : int(start) + length]
        assert np.array_equal(row[: int(valid)].numpy(), expected)
        assert not row[int(valid) :].any()


@pytest.mark.parametrize("augment", [None, Augmenter(ALL, 16000)])
@pytest.mark.parametrize("world", [2, 4])
def test_the_rows_of_all_processes_are_the_batch_of_one(augment: Augmenter | None, world: int) -> None:
    clips = array([4000, 300, 9000, 20000])
    whole = draw(clips, 5, 1, 8, 2000, 320, augment=augment)
    parts = [draw(clips, 5, 1, 8, 2000, 320, rank=r, world=world, augment=augment) for r in range(world)]
    for name in ("audio", "clip", "start", "valid_samples", "aligned"):
        assert torch.equal(torch.cat([getattr(p, name) for p in parts]), getattr(whole, name)), name


def test_seed_and_step_decide_all() -> None:
    clips = array([4000, 9000, 20000])
    augment = Augmenter(ALL, 16000)
    first, again, step, seed = (
        draw(clips, s, d, 8, 2000, 320, augment=augment).audio for s, d in ((3, 1), (3, 1), (4, 1), (3, 2))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, step)
    assert not torch.equal(first, seed)


def test_clips_are_drawn_by_length_and_starts_uniformly() -> None:
    clips = array([1000, 9000])
    batch = draw(clips, 0, 0, 20000, 100, 100)
    assert float((batch.clip == 0).float().mean()) == pytest.approx(0.1, abs=0.01)
    starts = batch.start[batch.clip == 1] // 100
    share = torch.bincount(starts, minlength=90).float() / len(starts)
    assert len(share) == 90
    assert share.min() > 0.5 / 90
    assert share.max() < 1.6 / 90


def test_speed_changes_lose_the_alignment_and_say_so() -> None:
    clips = array([30000, 500])
    batch = draw(clips, 0, 0, 64, 8000, 320, augment=Augmenter(Augment(speed_prob=0.5), 16000))
    assert 0.2 < batch.aligned.float().mean() < 0.8
    long = batch.clip == 0
    assert (batch.valid_samples[long] == 8000).all()
    for i in range(64):
        clip, start = clips.read(clips.clips[int(batch.clip[i])]), int(batch.start[i])
        assert start % 320 == 0
        same = np.array_equal(batch.audio[i, : int(batch.valid_samples[i])].numpy(), clip[start : start + 8000])
        assert same == bool(batch.aligned[i])


def test_a_fast_crop_at_the_end_of_a_clip_is_still_full() -> None:
    clips = array([8800])
    batch = draw(
        clips, 0, 0, 16, 8000, 320, augment=Augmenter(Augment(speed_prob=1.0, speed_min=1.1, speed_max=1.1), 16000)
    )
    assert (batch.valid_samples == 8000).all()
    assert (batch.start == 0).all()


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(CodectokError, match=r"3 crops .* among 2 processes"):
        draw(array([100]), 0, 0, 3, 10, 1, world=2)
    with pytest.raises(CodectokError, match="no audio"):
        draw(array([0]), 0, 0, 3, 10, 1)


def test_prefetch_gives_every_step_in_order() -> None:
    made: list[int] = []
    got = list(prefetch(lambda step: made.append(step) or step * step, 3, 8))
    assert got == [9, 16, 25, 36, 49]
    assert made == [3, 4, 5, 6, 7]
    assert list(prefetch(lambda step: step, 3, 3)) == []
    with pytest.raises(ZeroDivisionError):
        list(prefetch(lambda step: 1 // step, 0, 2))
