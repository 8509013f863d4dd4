"""Training audio: clips decoded once into one int16 array on disk, and random crops that depend only on (seed, step).

A crop is a pure function of the seed and the step, so a resumed run sees exactly the crops it would have seen.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from codectok.errors import AudioError, FormatError


@dataclass
class Clip:
    """One clip of a :class:`ClipArray`."""

    path: str
    start: int
    length: int


class ClipArray:
    """Clips back to back in one memory-mapped int16 array."""

    def __init__(self, samples: np.ndarray, clips: list[Clip]) -> None:
        self.samples = samples
        self.clips = clips

    def read(self, clip: Clip) -> np.ndarray:
        """float32 [length] in [-1, 1)."""
        return self.samples[clip.start : clip.start + clip.length].astype(np.float32) / 32768.0


def list_clips(root: Path, splits: Path, use: str) -> list[str]:
    """Paths (relative to ``root``) of the clips that ``splits`` marks with ``use``."""
    with open(splits, newline="") as f:
        table = csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
        if not {"path", "use"} <= set(table.fieldnames or ()):
            raise FormatError(f"{splits} has no columns 'path' and 'use': give a tab-separated table with both")
        rows = [r for r in table if r["use"] == use]
    if not rows:
        raise AudioError(f"no clip of {splits} is marked {use!r}: choose one of the values in its 'use' column")
    return [r["path"] for r in rows]


def load_clips(root: Path, paths: list[str], cache: Path, sample_rate: int) -> ClipArray:
    """Decode ``paths`` into ``cache`` (or reuse it) and open the result.

    Raises:
        AudioError: a clip is missing, unreadable or at another rate.
    """
    # The files' sizes tell apart folders whose clips have the same names, and clips that were replaced.
    sizes = [_size(root / path) for path in paths]
    key = hashlib.sha256(json.dumps([sample_rate, str(root.resolve()), paths, sizes]).encode()).hexdigest()[:16]
    data, index = cache / f"{key}.npy", cache / f"{key}.json"
    if not index.exists():
        cache.mkdir(parents=True, exist_ok=True)
        parts, clips, start = [], [], 0
        for path in paths:
            try:
                audio, rate = soundfile.read(root / path, dtype="int16", always_2d=True)
            except soundfile.SoundFileError as error:
                raise AudioError(
                    f"{root / path} cannot be read ({error}): repair it, or take it off the splits"
                ) from None
            if rate != sample_rate:
                raise AudioError(f"{path} is at {rate} Hz, the recipe at {sample_rate} Hz: resample it first")
            mono = audio[:, 0] if audio.shape[1] == 1 else audio.mean(1).astype(np.int16)
            parts.append(mono)
            clips.append({"path": path, "start": start, "length": len(mono)})
            start += len(mono)
        temporary = cache / f"{key}.{os.getpid()}.tmp.npy"
        np.save(temporary, np.concatenate(parts))
        temporary.rename(data)
        partial = cache / f"{key}.{os.getpid()}.tmp"
        partial.write_text(json.dumps(clips))
        partial.rename(index)
    samples = np.load(data, mmap_mode="r")
    return ClipArray(samples, [Clip(**c) for c in json.loads(index.read_text())])


def _size(path: Path) -> int:
    if not path.is_file():
        raise AudioError(f"{path} does not exist: data= must be the folder that the paths of splits= start from")
    return path.stat().st_size


def crops(clips: ClipArray, step: int, seed: int, batch: int, length: int) -> Tensor:
    """Random crops with random gain for one step, float32 [batch, length]; clips drawn by their length."""
    rng = np.random.default_rng((seed, step))
    lengths = np.array([c.length for c in clips.clips], dtype=np.float64)
    chosen = rng.choice(len(lengths), batch, p=lengths / lengths.sum())
    out = np.zeros((batch, length), dtype=np.float32)
    for row, i in zip(out, chosen, strict=True):
        audio = clips.read(clips.clips[i])
        start = int(rng.integers(0, max(1, len(audio) - length + 1)))
        piece = audio[start : start + length]
        peak = max(float(np.abs(piece).max()), 1e-3)
        gain = 10 ** (rng.uniform(-12.0, 4.0) / 20)
        row[: len(piece)] = piece * min(gain, 0.99 / peak) * rng.choice((-1.0, 1.0))
    return torch.from_numpy(out)
