"""Tokenizers that misbehave, importable by worker processes."""

from __future__ import annotations

import os
import signal
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from codectok.tokenizer import Tokenizer

HOP = 80


class Loudness(Tokenizer):
    """One code for each 10 ms: how loud it is. Causal in what it does, but has no stream."""

    name = "loudness"
    sample_rate = 8000
    frame_rate = Fraction(100)
    codebook_sizes = (64,)
    fingerprint = "loudness"
    feature_dim = 1
    can_decode = False

    def num_frames(self, num_samples: int) -> int:
        return -(-num_samples // HOP)

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        return [self._codes(clip) for clip in clips]

    def _codes(self, clip: np.ndarray) -> Tensor:
        frames = np.pad(clip, (0, -len(clip) % HOP)).reshape(-1, HOP)
        return torch.from_numpy(np.minimum(63, (np.abs(frames).mean(1) * 100).astype(np.int64)))[None]

    def _features(self, clips: list[np.ndarray]) -> list[Tensor]:
        return [self._codes(clip).t().float() for clip in clips]


class Shaped(Loudness):
    """Its codes tell how many clips they were run with and on how many threads: any other batching shows."""

    name = fingerprint = "shaped"

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        mark = len(clips) + 8 * (torch.get_num_threads() - 1)
        return [(codes + mark) % 64 for codes in super()._encode(clips, num_codebooks)]


class Deadly(Loudness):
    """Kills its process at a full-scale sample, as a broken native library does."""

    name = fingerprint = "deadly"

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        if any(np.abs(clip).max() > 0.99 for clip in clips):
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._encode(clips, num_codebooks)


class DeadlyOnce(Loudness):
    """Kills its process the first time, as the system's out-of-memory killer may."""

    fingerprint = "once"

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return super()._encode(clips, num_codebooks)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class Sleepy(Loudness):
    """Leaves time to be killed."""

    fingerprint = "sleepy"
    pause = 0.2

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        time.sleep(self.pause)
        return super()._encode(clips, num_codebooks)


class Sleepier(Sleepy):
    """Leaves time to be interrupted while the machine does much else."""

    fingerprint = "sleepier"
    pause = 1.0


class Unsendable(Loudness):
    """Cannot be pickled."""

    fingerprint = "unsendable"

    def __init__(self) -> None:
        self.held = lambda: None


class Incomplete(Loudness):
    """Needs a package that is not there."""

    fingerprint = "incomplete"

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        import no_such_package

        return [no_such_package.encode(clip) for clip in clips]
