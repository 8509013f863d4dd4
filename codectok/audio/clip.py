"""One clip, given as samples or as a file, at the rate that it is wanted at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from codectok.audio.reader import read_audio
from codectok.audio.samples import Audio, as_mono, check_rate, check_samples, resample
from codectok.errors import AudioError, CodectokError

AudioOrPath: TypeAlias = "Audio | str | os.PathLike[str]"
"""Samples, or the path of an audio file."""


def no_rate(path: str | os.PathLike[str], rate: int | None) -> None:
    """Raise AudioError if a rate is given beside a path: the file has its own, and one of the two would be ignored."""
    if rate is not None:
        raise AudioError(
            f"{os.fspath(path)} has its own sample rate: leave rate out, or give samples with it", path=path
        )


def clip_at(audio: AudioOrPath, rate: int | None, to: int) -> np.ndarray:
    """Checked mono audio, float32 [S] at ``to`` Hz.

    Args:
        audio: float or int16 [S] or [C, S], or a path.
        rate: Hz of samples; None for a path.
        to: Hz.

    Raises:
        AudioError: empty, not finite, at the scale of integers, unreadable, or a rate missing or too many.
    """
    if isinstance(audio, (str, os.PathLike)):
        no_rate(audio, rate)
        samples, rate = read_audio(audio)
    else:
        samples = as_mono(audio)
    rate = check_rate(rate)
    check_samples(samples)
    return resample(samples, rate, to)


def clips_at(audios: Sequence[AudioOrPath], rate: int | None, to: int) -> list[np.ndarray]:
    """:func:`clip_at` of each.

    Raises:
        AudioError: as there.
        CodectokError: one path in place of a list.
    """
    if isinstance(audios, (str, os.PathLike)):
        raise CodectokError(f"{os.fspath(audios)!r} is one path: give a list of clips")
    return [clip_at(audio, rate, to) for audio in audios]
