"""Writing audio files, block by block or whole."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from codectok.audio.decoder import reason
from codectok.audio.reader import PathLike
from codectok.audio.samples import as_mono, check_finite, check_rate, to_int16
from codectok.errors import AudioError
from codectok.files.atomic import atomic_path

if TYPE_CHECKING:
    from torch import Tensor

_WRITE_BLOCK = 16384

_FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}


class AudioWriter:
    """Write mono samples block by block, in a ``with``; the file gets its name only when all is written.

    Args:
        path: the suffix decides the format: .wav (16 bit), .flac (16 bit), .ogg (Vorbis), .opus or .mp3.
        rate: Hz.

    Raises:
        AudioError: another suffix, a rate that the format does not take, or no samples by the end.
    """

    def __init__(self, path: PathLike, rate: int) -> None:
        self.path, self.rate = Path(path), check_rate(rate)
        suffix = self.path.suffix.lower()
        if suffix not in _FORMATS:
            raise AudioError(
                f"cannot write {self.path} as audio: end its name in {', '.join(_FORMATS)}", path=self.path
            )
        self._format, self._subtype = _FORMATS[suffix]
        if not soundfile.check_format(self._format, self._subtype):
            raise AudioError(f"this libsndfile cannot write {suffix}: use .wav or .flac")
        self._stack = ExitStack()
        self._written = False

    def __enter__(self) -> AudioWriter:
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            try:
                file = soundfile.SoundFile(temporary, "w", self.rate, 1, self._subtype, format=self._format)
            except (soundfile.SoundFileError, OSError) as error:
                raise AudioError(
                    f"cannot write {self.path} at {self.rate} Hz ({reason(error)}): use .wav, or another rate",
                    path=self.path,
                ) from None
            self._file = stack.enter_context(file)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None and not self._written:
            empty = AudioError(f"{self.path} was not written: it was given no samples", path=self.path)
            self._stack.__exit__(AudioError, empty, None)
            raise empty
        self._stack.__exit__(kind, error, trace)

    def write(self, chunk: np.ndarray | Tensor | Sequence[float]) -> None:
        """Append float samples [S] (or [C, S], mixed down), any S; values outside [-1, 1] are clipped.

        Raises:
            AudioError: NaN or infinite samples, or the disk refuses.
        """
        samples = as_mono(chunk)
        if len(samples):
            check_finite(samples)
            self._written = True
        for at in range(0, len(samples), _WRITE_BLOCK):  # libsndfile's Ogg encoder overflows its stack on long blocks
            try:
                block = samples[at : at + _WRITE_BLOCK]
                # libsndfile would scale by 32767 and round down: the integers are ours, those that are scored.
                self._file.write(to_int16(block) if self._subtype == "PCM_16" else np.clip(block, -1.0, 1.0))
            except soundfile.SoundFileError as error:
                raise AudioError(
                    f"cannot write {self.path} ({reason(error)}): check the disk", path=self.path
                ) from None


def write_audio(path: PathLike, samples: np.ndarray | Tensor | Sequence[float], rate: int) -> None:
    """Write float samples [S] (or [C, S], mixed down) at ``rate`` Hz, whole or not at all.

    Args:
        path: the suffix decides the format: .wav (16 bit), .flac (16 bit), .ogg (Vorbis), .opus or .mp3.
        samples: values outside [-1, 1] are clipped.
        rate: Hz.

    Raises:
        AudioError: no samples, samples that are not finite, or a format or rate that cannot be written.

    Examples:
        >>> codectok.write_audio("b.flac", [0.5, 2.0], 16000)
        >>> codectok.read_audio("b.flac")
        (array([0.5      , 0.9999695], dtype=float32), 16000)
    """
    mono = as_mono(samples)
    if not len(mono):
        raise AudioError("the audio is empty: give at least one sample")
    with AudioWriter(path, rate) as writer:
        writer.write(mono)
