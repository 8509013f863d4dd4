"""A tokenizer that is quick, clips for it, and runs over them."""

from __future__ import annotations

import json
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor

from codectok.corpus.pipeline import TokenizeSummary, tokenize_corpus
from codectok.items.corpus import read_corpus
from codectok.tokenizer import Tokenizer

HOP = 80


class EnergyTokenizer(Tokenizer):
    """Codebook 0: loudness of a frame; codebook 1: its zero crossings. Causal, deterministic, tiny."""

    name = "energy"
    sample_rate = 8000
    frame_rate = Fraction(100)
    codebook_sizes = (16, 8)
    fingerprint = "energy"
    feature_dim = 2
    causal = True
    can_decode = False

    def num_frames(self, num_samples: int) -> int:
        return -(-num_samples // HOP)

    def _codes(self, samples: np.ndarray, k: int) -> Tensor:
        frames = np.pad(samples, (0, -len(samples) % HOP)).reshape(-1, HOP)
        loud = np.minimum(15, (np.sqrt((frames**2).mean(1)) * 20).astype(np.int64))
        crossings = (np.diff(np.sign(frames), axis=1) != 0).sum(1) % 8
        return torch.from_numpy(np.stack([loud, crossings])[:k])

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        return [self._codes(clip, num_codebooks) for clip in clips]

    def _features(self, clips: list[np.ndarray]) -> list[Tensor]:
        return [self._codes(clip, 2).t().float() for clip in clips]

    def encode_step(self, state: Any, chunk: Tensor, num_codebooks: int, final: bool = False) -> tuple[Any, Tensor]:
        held = np.concatenate([np.zeros(0, np.float32) if state is None else state, chunk.numpy()])
        whole = len(held) if final else len(held) - len(held) % HOP
        return held[whole:], self._codes(held[:whole], num_codebooks)


class StoppedAfter(EnergyTokenizer):
    """Is interrupted at the n-th batch, as by Ctrl-C."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super()._encode(clips, num_codebooks)


class Slow(EnergyTokenizer):
    """Leaves time to be killed."""

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        time.sleep(0.3)
        return super()._encode(clips, num_codebooks)


class HatesLoud(EnergyTokenizer):
    """Cannot take a batch with a full-scale sample in it, and remembers the batches it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        self.batches.append([len(c) for c in clips])
        if any(np.abs(c).max() > 0.99 for c in clips):
            raise RuntimeError("too\n loud")
        return super()._encode(clips, num_codebooks)


def wave(seconds: float, rate: int, seed: int) -> np.ndarray:
    t = np.arange(max(1, round(seconds * rate))) / rate
    tone = np.sin(2 * np.pi * (100 + 40 * seed) * t) * np.abs(np.sin(3 * t + seed))
    noise = np.random.default_rng(seed).normal(size=len(t))
    return (0.4 * tone + 0.01 * noise).astype(np.float32)


def run(audio: Path, out: Path, tokenizer: Tokenizer | None = None, **options: Any) -> TokenizeSummary:
    options = {"items_per_shard": 3, "batch_seconds": 2.0} | options
    return tokenize_corpus(read_corpus(audio), tokenizer or EnergyTokenizer(), out, **options)


def content(folder: Path) -> dict[str, bytes]:
    """All files but the timings."""
    files = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    found = {name: path.read_bytes() for name, path in files.items()}
    stats = json.loads(found["stats.json"])
    del stats["run"]
    return found | {"stats.json": json.dumps(stats).encode()}


def spoil(audio: Path) -> None:
    (audio / "a2.wav").write_bytes(b"RIFFnothing")
    (audio / "sub/empty.wav").touch()
    (audio / "zz.mp3").write_text("not audio")
    soundfile.write(audio / "nan.wav", np.array([0.1, np.nan, 0.2]), 8000, subtype="FLOAT")
    soundfile.write(audio / "none.wav", np.zeros(0), 8000)
