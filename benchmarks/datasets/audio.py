"""What an input hears of a clip, and what a generative task is to give back: samples at 16 kHz, the same each time.

Noise and second speakers are added here, when a clip is read, so that no mixture is stored. The level of a clip
over what is added is that of their powers over the whole mixture.
"""

from __future__ import annotations

import numpy as np

from codectok.audio import AudioReader, resample
from codectok.errors import AudioError

from ..contract import RATE, Clip, Mix

PEAK = 0.99


def read_clip(clip: Clip) -> np.ndarray:
    """Samples that the input sees, with what is mixed in: float32 [S] at ``RATE``.

    Raises:
        AudioError: a file cannot be read, or the clip lies outside it or is silent where a level is needed.
    """
    return _mixture(clip)[0] if clip.mix else _read(clip.path, clip.offset, clip.duration)


def read_targets(clip: Clip) -> tuple[np.ndarray, ...]:
    """What is to be given back, each float32 [S] at ``RATE`` and as long as ``read_clip(clip)``.

    Of a mixture its clean parts at the level they have in it; of a clip with target files those (cut, or followed
    by silence, to the length of the clip); of any other clip itself.

    Raises:
        AudioError: as ``read_clip``.
    """
    if clip.mix:
        return _mixture(clip)[1]
    if not clip.targets:
        return (read_clip(clip),)
    length = len(read_clip(clip))
    return tuple(_fit(_read(path, clip.offset, clip.duration), length) for path in clip.targets)


def _read(path: str, offset: float | None = None, duration: float | None = None) -> np.ndarray:
    with AudioReader(path) as reader:
        start = round((offset or 0.0) * reader.rate)
        stop = None if duration is None else start + round(duration * reader.rate)
        blocks = list(reader.blocks(start=start, stop=stop))
        if not blocks:
            raise AudioError(
                f"{path} has no samples at {offset or 0:.2f} s: check the clip's offset and duration", path=path
            )
        return resample(np.concatenate(blocks), reader.rate, RATE).astype(np.float32)


def _fit(samples: np.ndarray, length: int) -> np.ndarray:
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def _mixture(clip: Clip) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """The mixture, and the parts of it that are targets."""
    assert clip.mix is not None
    mix, clean = clip.mix, _read(clip.path, clip.offset, clip.duration)
    if mix.kind == "speaker":  # as long as the shorter of the two, as LibriMix's "min"
        added = _read(mix.other)
        clean, added = clean[: len(added)], added[: len(clean)]
    else:
        added = _noise(mix, len(clean))
    power, other = (float(np.mean(np.square(x, dtype=np.float64))) for x in (clean, added))
    if min(power, other) <= 0:
        raise AudioError(f"{clip.path} or what is mixed into it is silent: it has no level to mix at", path=clip.path)
    added = added * np.float32((power / other) ** 0.5 * 10 ** (-mix.snr_db / 20))
    mixed = clean + added
    gain = np.float32(min(1.0, PEAK / float(np.abs(mixed).max())))
    targets = (clean * gain, added * gain) if mix.kind == "speaker" else (clean * gain,)
    return mixed * gain, targets


def _noise(mix: Mix, length: int) -> np.ndarray:
    draw = np.random.Generator(np.random.PCG64(mix.seed))
    if mix.kind == "white":
        return draw.standard_normal(length).astype(np.float32)
    voices = np.zeros(length, dtype=np.float32)
    for path in mix.other.splitlines():
        voice = _read(path)
        voice /= max(float(np.sqrt(np.mean(voice**2))), 1e-9)
        voices += np.resize(np.roll(voice, -int(draw.integers(len(voice)))), length)
    return voices
