"""Clause 3: long = short."""

from __future__ import annotations

import math
import tempfile

import numpy as np
import soundfile
import torch

from codectok.abilities import WorksInBlocks, WorksInWindows
from codectok.testing.clauses.same import assert_same_codes, clip, hop
from codectok.tokenizer import Tokenizer


def long_equals_short(tok: Tokenizer) -> None:
    """The codes do not depend on the block that long audio is worked in."""
    if isinstance(tok, WorksInWindows):
        _windows_are_all_that_is_seen(tok)
    elif isinstance(tok, WorksInBlocks):
        _blocks_change_nothing(tok)
    else:
        _beginning_stays(tok)


def _blocks_change_nothing(tok: Tokenizer) -> None:
    assert isinstance(tok, WorksInBlocks)
    audio = clip(tok, 7.3)
    block = tok.block_frames
    results = []
    try:
        for frames in (block, max(tok.least_block_frames, 9), 100_000):
            tok.block_frames = frames
            results.append((tok.encode(audio, tok.sample_rate).codes, tok.features(audio, tok.sample_rate)))
    finally:
        tok.block_frames = block
    for codes, _ in results[1:]:
        assert_same_codes(tok, codes, *results[0])


def _windows_are_all_that_is_seen(tok: Tokenizer) -> None:
    """No frame sees beyond its own window, and a file gives the codes of its samples."""
    assert isinstance(tok, WorksInWindows)
    window = math.ceil(tok.window_frames / tok.frame_rate)
    audio = clip(tok, 3.0 * window)
    codes, end = tok.encode(audio, tok.sample_rate).codes, int(window * tok.frame_rate)
    # Turned about in its last third: mean and variance, which an encoder may normalise by, stay the same.
    turned = np.concatenate([audio[: 2 * len(audio) // 3], audio[2 * len(audio) // 3 :][::-1]])
    other = tok.encode(turned, tok.sample_rate).codes
    untouched = codes.shape[1] - end - tok.window_frames - 2
    assert_same_codes(tok, other[:, :untouched], codes[:, :untouched], None)
    assert (other[:, -end:] != codes[:, -end:]).any(1).all()
    with tempfile.TemporaryDirectory() as folder:
        soundfile.write(f"{folder}/a.wav", audio, tok.sample_rate, subtype="FLOAT")
        assert_same_codes(tok, tok.encode(f"{folder}/a.wav").codes, codes, None)


def _beginning_stays(tok: Tokenizer) -> None:
    """What comes later changes no frame but the last of a clip that was cut."""
    audio = clip(tok, 5.0)
    codes = tok.encode(audio, tok.sample_rate).codes
    cut = len(audio) // 2 // hop(tok) * hop(tok)
    first = tok.encode(audio[:cut], tok.sample_rate).codes
    assert torch.equal(codes[:, : first.shape[1] - 1], first[:, :-1])
