"""Reading audio files (soundfile): from a path or from a stretch of another file, in blocks or whole."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import soundfile

from codectok.audio.samples import Resampler, mix
from codectok.errors import AudioError

PathLike = str | os.PathLike[str]
MP3_SLACK = 2 * 1152
"""Samples by which encoders miscount in an MP3's header: two MPEG frames."""
_UNKNOWN = 2**62
_LONG_PATH = 1000  # libsndfile itself opens none of 1024 bytes or more


class _Forward(soundfile.SoundFile):
    """Reads straight on.

    soundfile seeks after every read of a file that says it can seek. That loses an MP3's bit reservoir (full-scale
    errors at every block), and fails on a FLAC that does not state its length.
    """

    def seekable(self) -> bool:
        return False


class AudioReader:
    """An audio file (WAV, FLAC, Ogg Vorbis or Opus, MP3), read in mono blocks; never holds the whole file.

    What the file is, its content tells, not its name.

    Args:
        source: path of a file, or a seekable binary file object, which is closed with the reader.
        name: what messages call a file object.
        channel: take this channel alone, from 0; None mixes all by their mean.

    Attributes:
        rate: Hz.
        num_samples: samples a channel; of an MP3 only an estimate.
        exact: whether ``num_samples`` is no estimate.

    Raises:
        AudioError: missing, a folder, empty, or not audio; no such channel.
    """

    def __init__(self, source: PathLike | BinaryIO, name: str | None = None, channel: int | None = None) -> None:
        self._data = None if isinstance(source, str | os.PathLike) else source
        self.path = Path("" if self._data is not None else cast(PathLike, source))
        self.name = printable(os.fspath(self.path) if self._data is None else name or "this audio")
        self._known = self.path if self._data is None else None
        self.channel = channel
        try:
            self._open_checked()
        except BaseException:
            self._close()
            raise

    def _open_checked(self) -> None:
        self._file = self._open()
        self.rate = int(self._file.samplerate)
        self.num_samples = int(self._file.frames)
        # An MP3 without a Xing header has its length guessed from its first frame: short of it is no sign of damage.
        self._slack = 0
        if self._file.format == "MP3":
            self._slack = MP3_SLACK if self._stated() else self.num_samples
        self.exact = self._file.format != "MP3"
        self._check_length()
        if self.channel is not None and not 0 <= self.channel < self._file.channels:
            raise AudioError(
                f"{self.name} has {self._file.channels} channels, and not channel {self.channel} (from 0)",
                path=self._known,
            )

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()
        if self._data is not None:
            self._data.close()

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
            mono = mix(block.T) if self.channel is None else np.ascontiguousarray(block[:, self.channel])
            if not np.isfinite(mono).all():
                raise AudioError(
                    f"{self.name} holds NaN or infinite samples: repair the file or leave it out", path=self._known
                )
            yield mono
        end = self.num_samples if stop is None else min(stop, self.num_samples)
        if at < end - self._slack:
            raise AudioError(
                f"{self.name} is truncated: {at} of {self.num_samples} samples; copy or decode it again",
                path=self._known,
            )
        if stop is None and at == 0:
            raise AudioError(f"{self.name} holds no samples: leave it out", path=self._known)

    def _open(self) -> soundfile.SoundFile:
        if self._data is None:
            _check_file(self.path, self.name)
            if len(os.fsencode(self.path)) > _LONG_PATH:
                self._data = open(self.path, "rb")  # noqa: SIM115 (closed with the reader)
        elif self._data.seek(0, os.SEEK_END) == 0:
            raise AudioError(f"{self.name} is empty: leave it out or copy it again", path=self._known)
        else:
            self._data.seek(0)
        try:
            # As bytes, since soundfile cannot encode file names that are not UTF-8.
            return _Forward(os.fsencode(self.path) if self._data is None else self._data)
        except PermissionError as error:
            raise AudioError(
                f"{self.name} cannot be opened ({error.strerror}): allow reading it", path=self._known
            ) from None
        except (soundfile.SoundFileError, OSError, TypeError) as error:  # TypeError: headerless .raw
            raise AudioError(
                f"{self.name} cannot be read as audio ({reason(error)}): give WAV, FLAC, Ogg or MP3", path=self._known
            ) from None

    def _stated(self) -> bool:
        if self._data is None:
            with open(self.path, "rb") as file:
                return _has_xing(file)
        at = self._data.tell()  # libsndfile goes on from here
        self._data.seek(0)
        found = _has_xing(self._data)
        self._data.seek(at)
        return found

    def _check_length(self) -> None:
        if self.num_samples >= _UNKNOWN:  # a FLAC that was written to a pipe: count, then start again
            self.num_samples = 0
            while count := len(self._read(self.rate)):
                self.num_samples += count
            self._file.close()
            self._file = self._open()
        if self.num_samples == 0:
            raise AudioError(f"{self.name} holds no samples: leave it out", path=self._known)
        # libsndfile quietly corrects the length of a WAV that was cut off; recorders that write to a pipe put a
        # number near 2 or 4 GiB there, which is no claim.
        found = re.search(r"^data : (\d+) \(should be (\d+)\)", self._file.extra_info, re.MULTILINE)
        if found and self._file.format in ("WAV", "WAVEX") and int(found[2]) < int(found[1]) < 0x7FFF0000:
            raise AudioError(
                f"{self.name} is truncated: {found[2]} of {found[1]} bytes of audio; copy it again", path=self._known
            )

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
                f"{self.name} is truncated or damaged ({reason(error)}): copy or decode it again", path=self._known
            ) from None


def reason(error: Exception) -> str:
    """libsndfile's own words, without the path it repeats."""
    return " ".join(getattr(error, "error_string", str(error)).split()).rstrip(".")


def _has_xing(file: BinaryIO) -> bool:
    """Whether an MP3 states its length: a Xing or Info header in its first frame, after an ID3v2 tag."""
    head = file.read(10)
    if head[:3] == b"ID3" and len(head) == 10:
        file.seek(10 + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)))
        head = b""
    head += file.read(256)
    return b"Xing" in head or b"Info" in head


def _check_file(path: Path, name: str) -> None:
    """Say what is wrong with a path, and never wait for a pipe or device."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a zero byte in the name
        link = os.path.islink(path)
        raise AudioError(
            f"{name} is a link to nothing" if link else f"{name} does not exist: check the path", path=path
        ) from None
    except OSError as error:
        raise AudioError(f"{name} cannot be opened ({error.strerror}): check the path", path=path) from None
    if stat.S_ISDIR(found.st_mode):
        raise AudioError(f"{name} is not a file: give the path of an audio file{_unlisted(path)}", path=path)
    if not stat.S_ISREG(found.st_mode):
        raise AudioError(f"{name} is not a file but a pipe, socket or device: write the audio to a file", path=path)
    if found.st_size == 0:
        raise AudioError(f"{name} is an empty file: leave it out or copy it again", path=path)


def _unlisted(folder: Path) -> str:
    """Why a folder stands where a file should: a corpus has one as an item if it could not be searched."""
    try:
        os.scandir(folder).close()
    except OSError as error:
        return f" (the folder cannot be listed: {error.strerror}; allow reading it)"
    return ""


def printable(path: str) -> str:
    """A path for messages: one line of valid text, the bytes that are not UTF-8 and control characters as \\xNN."""
    text = path.encode("utf-8", "surrogateescape" if os.name == "posix" else "replace").decode(
        "utf-8", "backslashreplace"
    )
    return "".join(c if c.isprintable() or ord(c) > 159 else f"\\x{ord(c):02x}" for c in text)


def read_audio(path: PathLike) -> tuple[np.ndarray, int]:
    """Read a whole file: float32 [S] mono (the mean of its channels), and its rate in Hz.

    Raises:
        AudioError: unreadable, empty, truncated, or with samples that are not finite.

    Examples:
        >>> audio, rate = codectok.read_audio("a.wav")
        >>> audio.shape, rate
        ((16000,), 16000)
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
