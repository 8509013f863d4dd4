"""Audio in and out: the one place that touches audio files (soundfile).

Samples are float32 mono [S] throughout. Several channels are mixed down by their mean.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from codectok.atomic import atomic_path
from codectok.errors import AudioError
from codectok.samples import Resampler, as_mono, check_rate, check_samples, mix, resample

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "AudioReader",
    "AudioWriter",
    "Resampler",
    "as_mono",
    "check_rate",
    "check_samples",
    "read_audio",
    "resample",
    "resampled_blocks",
    "write_audio",
]

PathLike = str | os.PathLike[str]
MP3_SLACK = 2 * 1152
"""Samples by which encoders miscount in an MP3's header: two MPEG frames."""
_UNKNOWN = 2**62
_WRITE_BLOCK = 16384

_FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}


class _Forward(soundfile.SoundFile):
    """Reads straight on.

    soundfile seeks after every read of a file that says it can seek. That loses an MP3's bit reservoir (full-scale
    errors at every block), and fails on a FLAC that does not state its length.
    """

    def seekable(self) -> bool:
        return False


class AudioReader:
    """An audio file (WAV, FLAC, Ogg Vorbis or Opus, MP3), read in mono blocks; never holds the whole file.

    Attributes:
        rate: Hz.
        num_samples: samples a channel; of an MP3 without a Xing header only an estimate.

    Raises:
        AudioError: missing, a folder, empty, or not audio.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self._file = self._open()
        self.rate = int(self._file.samplerate)
        self.num_samples = int(self._file.frames)
        # An MP3 without a Xing header has its length guessed from its first frame: short of it is no sign of damage.
        self._slack = 0
        if self._file.format == "MP3":
            self._slack = MP3_SLACK if _has_xing(self.path) else self.num_samples
        try:
            self._check_length()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def blocks(self, seconds: float = 10.0, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """Yield float32 [<= seconds * rate] pieces of the samples ``start`` to ``stop`` (default: all), once.

        Raises:
            AudioError: the file is damaged, ends before its header says, or holds NaN or infinite samples.
        """
        size = max(1, int(seconds * self.rate))
        at = self._skip(start) if start else 0
        while stop is None or at < stop:
            block = self._read(size if stop is None else min(size, stop - at))
            if len(block) == 0:
                break
            at += len(block)
            mono = mix(block.T)
            if not np.isfinite(mono).all():
                raise AudioError(f"{self.path} holds NaN or infinite samples: repair the file or leave it out")
            yield mono
        end = self.num_samples if stop is None else min(stop, self.num_samples)
        if at < end - self._slack:
            raise AudioError(f"{self.path} is truncated: {at} of {self.num_samples} samples; copy or decode it again")
        if stop is None and at == 0:
            raise AudioError(f"{self.path} holds no samples: leave it out")

    def _open(self) -> soundfile.SoundFile:
        if not self.path.exists():
            raise AudioError(f"{self.path} does not exist: check the path")
        if not self.path.is_file():
            raise AudioError(f"{self.path} is not a file: give the path of an audio file")
        if self.path.stat().st_size == 0:
            raise AudioError(f"{self.path} is an empty file: leave it out or copy it again")
        try:
            return _Forward(self.path)
        except (soundfile.SoundFileError, OSError, TypeError) as error:  # TypeError: headerless .raw
            raise AudioError(
                f"{self.path} cannot be read as audio ({_reason(error)}): give WAV, FLAC, Ogg or MP3"
            ) from None

    def _check_length(self) -> None:
        if self.num_samples >= _UNKNOWN:  # a FLAC that was written to a pipe: count, then start again
            self.num_samples = 0
            while count := len(self._read(self.rate)):
                self.num_samples += count
            self._file.close()
            self._file = self._open()
        if self.num_samples == 0:
            raise AudioError(f"{self.path} holds no samples: leave it out")
        # libsndfile quietly corrects the length of a WAV that was cut off; recorders that write to a pipe put a
        # number near 2 or 4 GiB there, which is no claim.
        found = re.search(r"^data : (\d+) \(should be (\d+)\)", self._file.extra_info, re.MULTILINE)
        if found and self._file.format in ("WAV", "WAVEX") and int(found[2]) < int(found[1]) < 0x7FFF0000:
            raise AudioError(f"{self.path} is truncated: {found[2]} of {found[1]} bytes of audio; copy it again")

    def _skip(self, start: int) -> int:
        """Go to sample ``start``, or the end of a shorter file; returns where that is."""
        if self._file.format not in ("MP3", "OGG"):
            try:
                return int(self._file.seek(min(start, self.num_samples)))
            except soundfile.SoundFileError:
                pass  # a FLAC without its length
        # Lossy decoders need what came before to give the samples that they give in a whole read.
        at = 0
        while at < start and (count := len(self._read(min(start - at, self.rate)))):
            at += count
        return at

    def _read(self, count: int) -> np.ndarray:
        """Up to ``count`` samples, float32 [S, C]."""
        try:
            return self._file.read(count, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, OSError) as error:
            raise AudioError(
                f"{self.path} is truncated or damaged ({_reason(error)}): copy or decode it again"
            ) from None


def _reason(error: Exception) -> str:
    """libsndfile's own words, without the path it repeats."""
    return " ".join(getattr(error, "error_string", str(error)).split()).rstrip(".")


def _has_xing(path: Path) -> bool:
    """Whether an MP3 states its length: a Xing or Info header in its first frame, after an ID3v2 tag."""
    with open(path, "rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3" and len(head) == 10:
            file.seek(10 + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)))
            head = b""
        head += file.read(256)
    return b"Xing" in head or b"Info" in head


def read_audio(path: PathLike) -> tuple[np.ndarray, int]:
    """Read a whole file: float32 [S] mono (the mean of its channels), and its rate in Hz.

    Raises:
        AudioError: unreadable, empty, truncated, or with samples that are not finite.
    """
    with AudioReader(path) as reader:
        return np.concatenate(list(reader.blocks())), reader.rate


def resampled_blocks(path: PathLike, to: int, seconds: float = 10.0) -> Iterator[np.ndarray]:
    """Yield a file's samples at ``to`` Hz, float32 [S'] at a time; they join to ``resample`` of the whole.

    Raises:
        AudioError: as ``read_audio`` and ``resample``.
    """
    with AudioReader(path) as reader:
        resampler = Resampler(reader.rate, to)
        for block in reader.blocks(seconds):
            yield resampler.push(block)
        yield resampler.flush()


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
            raise AudioError(f"cannot write {self.path} as audio: end its name in {', '.join(_FORMATS)}")
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
                    f"cannot write {self.path} at {self.rate} Hz ({_reason(error)}): use .wav, or another rate"
                ) from None
            self._file = stack.enter_context(file)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None and not self._written:
            empty = AudioError(f"{self.path} was not written: it was given no samples")
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
            check_samples(samples)
            self._written = True
        for at in range(0, len(samples), _WRITE_BLOCK):  # libsndfile's Ogg encoder overflows its stack on long blocks
            try:
                self._file.write(np.clip(samples[at : at + _WRITE_BLOCK], -1.0, 1.0))
            except soundfile.SoundFileError as error:
                raise AudioError(f"cannot write {self.path} ({_reason(error)}): check the disk") from None


def write_audio(path: PathLike, samples: np.ndarray | Tensor | Sequence[float], rate: int) -> None:
    """Write float samples [S] (or [C, S], mixed down) at ``rate`` Hz, whole or not at all.

    Args:
        path: the suffix decides the format: .wav (16 bit), .flac (16 bit), .ogg (Vorbis), .opus or .mp3.
        samples: values outside [-1, 1] are clipped.
        rate: Hz.

    Raises:
        AudioError: no samples, samples that are not finite, or a format or rate that cannot be written.
    """
    mono = as_mono(samples)
    check_samples(mono)
    with AudioWriter(path, rate) as writer:
        writer.write(mono)
