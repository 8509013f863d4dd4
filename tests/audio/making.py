"""Small audio files to damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from codectok.audio import AudioReader

RATE = 16000


def noise(samples: int, seed: int = 0, scale: float = 0.1) -> np.ndarray:
    """float32 [S]."""
    return (np.random.default_rng(seed).normal(size=samples) * scale).astype(np.float32)


def encoded(folder: Path, samples: np.ndarray, format: str, subtype: str | None = None, **options: object) -> bytes:
    """Samples as the bytes of a file."""
    path = folder / "made"
    soundfile.write(path, samples, RATE, subtype, format=format, **options)
    return path.read_bytes()


def read(path: Path, strict: bool = False) -> tuple[np.ndarray, list[str]]:
    """All samples of a file, and the warnings."""
    with AudioReader(path, strict=strict) as reader:
        samples = np.concatenate(list(reader.blocks(0.7)))
        return samples, reader.warnings


def read_data(path: Path, data: bytes, strict: bool = False) -> tuple[np.ndarray, list[str]]:
    """The same of bytes that are written there first."""
    path.write_bytes(data)
    return read(path, strict)


def tone(samples: int, rate: int) -> np.ndarray:
    """440 Hz, float32 [samples]."""
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(samples) / rate)).astype(np.float32)
