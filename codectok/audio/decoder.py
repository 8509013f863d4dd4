"""One stream of a file through libsndfile."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
import soundfile

from codectok.audio.path import not_read
from codectok.audio.samples import MAX_CHANNELS, MAX_RATE
from codectok.errors import AudioError

BLOCK_VALUES = 2**24
"""Values, over all channels, that are decoded at a time."""
_UNKNOWN = 2**62
_STEP = 64
"""Samples at a time up to where a file is damaged: what the frames of codecs are multiples of."""


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """Reads straight on.

    soundfile seeks after every read of a file that says it can seek. That loses an MP3's bit reservoir (full-scale
    errors at every block), and fails on a FLAC that does not state its length.
    """

    def seekable(self) -> bool:
        return False


class Decoder:
    """A stream, from its start on.

    Args:
        source: path, or a seekable file, which stays open.
        name: for messages.

    Attributes:
        rate: Hz.
        channels: how many.
        num_samples: a channel, as the header says; None where it says nothing.
        format: libsndfile's name of it.

    Raises:
        AudioError: it is no audio, or claims what no audio has.
    """

    def __init__(self, source: bytes | BinaryIO, name: str) -> None:
        self.name = name
        try:
            self._file = _Forward(source)
        except PermissionError as error:
            raise AudioError(f"{name} cannot be opened ({error.strerror}): allow reading it") from None
        except (soundfile.SoundFileError, OSError, TypeError, ValueError) as error:  # TypeError: headerless .raw
            raise not_read(name, reason(error)) from None
        self.rate, self.channels, self.format = int(self._file.samplerate), self._file.channels, self._file.format
        frames = int(self._file.frames)
        self.num_samples = None if frames >= _UNKNOWN else frames
        if not 1 <= self.rate <= MAX_RATE or not 1 <= self.channels <= MAX_CHANNELS or frames < 0:
            self.close()
            raise AudioError(
                f"{name} claims {self.channels} channels at {self.rate} Hz, which no recording has: convert it again"
            )
        self.sequential = self.format in ("MP3", "OGG")
        """Whether a sample is right only if all before it were decoded."""

    @property
    def log(self) -> str:
        """What libsndfile notes of the header."""
        return str(self._file.extra_info)

    def seek(self, start: int) -> bool:
        """Go to sample ``start``; False where the file does not allow it."""
        try:
            return not self.sequential and int(self._file.seek(start)) == start
        except soundfile.SoundFileError:
            return False  # a FLAC without its length

    def read(self, count: int) -> np.ndarray:
        """Up to ``count`` samples, float32 [S, C].

        Raises:
            AudioError: the stream is damaged there.
        """
        try:
            return self._file.read(min(count, BLOCK_VALUES // self.channels), dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, OSError) as error:
            raise AudioError(
                f"{self.name} is truncated or damaged ({reason(error)}): copy or decode it again"
            ) from None

    def skip(self, count: int) -> int:
        """Decode up to ``count`` samples for those after them; gives how many there were.

        Raises:
            AudioError: the stream is damaged there.
        """
        at = 0
        while at < count and (found := len(self.read(min(count - at, self.rate)))):
            at += found
        return at

    def close(self) -> None:
        """End it."""
        self._file.close()


def count_samples(decoder: Decoder) -> int:
    """Samples that are left of a stream, by decoding it.

    Raises:
        AudioError: the stream is damaged.
    """
    return decoder.skip(_UNKNOWN)


def until_damage(decoder: Decoder, start: int, count: int) -> np.ndarray:
    """What a new decoder of a damaged stream gives from ``start`` on, float32 [<= count, C]."""
    parts = []
    try:
        decoder.skip(start)
        while count > 0 and len(block := decoder.read(min(_STEP, count))):
            parts.append(block)
            count -= len(block)
    except AudioError:
        pass
    return np.concatenate(parts) if parts else np.zeros((0, decoder.channels), np.float32)


def reason(error: Exception) -> str:
    """libsndfile's own words, without the path it repeats."""
    return " ".join(getattr(error, "error_string", str(error)).split()).rstrip(".")
