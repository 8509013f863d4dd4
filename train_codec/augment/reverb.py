"""Reverberation: a synthetic room or a recorded impulse response, at the level of the dry sound."""

from __future__ import annotations

import numpy as np

from train_codec.augment.fft import fast_size


def synthetic_room(rng: np.random.Generator, rt60: float, direct_db: float, sample_rate: int) -> np.ndarray:
    """Impulse response float32 [S]: a direct path, then Gaussian noise that decays by 60 dB in ``rt60`` seconds.

    Args:
        rng: for the noise.
        rt60: reverberation time in seconds.
        direct_db: energy of the direct path over that of the tail, in dB.
        sample_rate: Hz.

    Source: the exponential decay model of Polack, "La transmission de l'énergie sonore dans les salles" (1988).
    """
    count = max(2, round(rt60 * sample_rate))
    tail = rng.standard_normal(count, dtype=np.float32)
    tail *= np.exp(np.float32(-3 * np.log(10) / count) * np.arange(count, dtype=np.float32))  # 10^-3 is -60 dB
    gap = min(count - 1, round(0.002 * sample_rate))  # the first reflection comes after the direct sound
    tail[:gap] = 0
    tail *= np.float32(10 ** (-direct_db / 20)) / np.linalg.norm(tail)
    tail[0] = 1.0
    return tail


def recorded_room(response: np.ndarray) -> np.ndarray:
    """A recorded response float32 [S] from its peak on, so that convolving with it delays nothing."""
    return response[int(np.abs(response).argmax()) :]


def reverb(audio: np.ndarray, room: np.ndarray) -> np.ndarray:
    """``audio`` float32 [S] in that room, float32 [S], with the RMS it had; the frames stay where they were."""
    size = fast_size(len(audio) + len(room) - 1)
    wet = np.fft.irfft(np.fft.rfft(audio, size) * np.fft.rfft(room, size), size)[: len(audio)].astype(
        np.float32, copy=False
    )
    level = float(np.vdot(wet, wet))
    if level == 0:
        return audio
    return wet * np.float32(np.sqrt(float(np.vdot(audio, audio)) / level))
