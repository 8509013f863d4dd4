"""Reading audio files: from a path or from a stretch of another file, in blocks or whole, to the end or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from codectok.audio.claims import FEW, lacking
from codectok.audio.decoder import Decoder, count_samples, until_damage
from codectok.audio.flac import after_the_end
from codectok.audio.layout import FileLayout, spliced
from codectok.audio.look import count_at, layout_at, layout_of
from codectok.audio.path import check_file, printable
from codectok.audio.samples import LOUDEST, Resampler, mix
from codectok.errors import AudioError, AudioWarning

PathLike = str | os.PathLike[str]
MP3_SLACK = 2 * 1152
"""Samples by which encoders miscount in an MP3's header: two MPEG frames."""
LAST_FRAME = 4608
"""Samples that a damaged file may lack at its end: the longest usual frame. A file that lacks more is cut off."""
_LONG_PATH = 1000  # libsndfile itself opens none of 1024 bytes or more


class AudioReader:
    """An audio file (WAV, FLAC, Ogg Vorbis or Opus, MP3, whatever libsndfile reads) in mono blocks, never held whole.

    What the file is, its content tells, not its name; how long it is, its end, not its header. Streams that are joined
    one after another are read as one.

    Args:
        source: path of a file, or a seekable binary file object, which is closed with the reader.
        name: what messages call a file object.
        channel: take this channel alone, from 0; None mixes all by their mean.
        strict: refuse what else is a warning.

    Attributes:
        rate: Hz.
        num_samples: samples a channel.
        exact: whether ``num_samples`` is no estimate, as it is of an MP3 whose frames do not state their lengths.
        warnings: what is wrong with the file though it can be read, a line each; complete when all is read.
        gaps: whether audio may be missing in the middle, so that times after it are wrong.

    Raises:
        AudioError: missing, a folder, empty, or not audio; no such channel; streams of several rates.
    """

    def __init__(
        self, source: PathLike | BinaryIO, name: str | None = None, channel: int | None = None, strict: bool = False
    ) -> None:
        self._data = None if isinstance(source, str | os.PathLike) else source
        self.path = Path("" if self._data is not None else cast(PathLike, source))
        self.name = printable(os.fspath(self.path) if self._data is None else name or "this audio")
        self._path = os.fspath(self.path) if self._data is None else None
        self.channel, self.strict, self.warnings = channel, strict, list[str]()
        self._decoder: Decoder | None = None
        try:
            with self._named():
                self._open_checked()
        except BaseException:
            self._close()
            raise

    def _open_checked(self) -> None:
        self._counted = False
        self._layout = self._look()
        self.gaps = self._layout.gaps
        for text in self._layout.warnings:
            self._warn(text)
        self._streams = len(self._layout.streams)
        lengths = []
        for index in reversed(range(self._streams)):
            decoder = self._open(index)
            lengths.append(self._length(decoder))
            if index == self._streams - 1:
                self.rate = decoder.rate
            elif decoder.rate != self.rate:
                raise AudioError(
                    f"{self.name} is of joined streams, at {decoder.rate} and {self.rate} Hz: give them one by one"
                )
            if self.channel is not None and not 0 <= self.channel < decoder.channels:
                raise AudioError(
                    f"{self.name} has {decoder.channels} channels, and not channel {self.channel} (from 0)"
                )
        self.num_samples, self._ended = sum(lengths), False
        self._ends = list(accumulate(reversed(lengths)))
        mpeg = decoder.format == "MP3"
        self.exact = not mpeg or self._layout.counted
        self._slack = self.num_samples if self.gaps or not self.exact else MP3_SLACK * mpeg
        if self.num_samples == 0:
            raise AudioError(f"{self.name} holds no samples: leave it out")

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        for part in (self._decoder, self._data):
            if part is not None:
                part.close()

    @property
    def sequential(self) -> bool:
        """Whether a sample is right only if all before it were decoded."""
        return self._counted or self._streams > 1 or cast(Decoder, self._decoder).sequential

    def blocks(self, seconds: float = 10.0, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """Yield float32 [<= seconds * rate] pieces of the samples ``start`` to ``stop`` (default: all), once.

        Raises:
            AudioError: the file is damaged, ends before its header says, or holds NaN or infinite samples.
        """
        with self._named():
            yield from self._blocks(seconds, start, stop)

    def _blocks(self, seconds: float, start: int, stop: int | None) -> Iterator[np.ndarray]:
        size = max(1, int(seconds * self.rate))
        at = self._skip(start) if start else 0
        while stop is None or at < stop:
            block = self._read(at, size if stop is None else min(size, stop - at))
            if len(block) == 0:
                break
            at += len(block)
            mono = mix(block.T) if self.channel is None else np.ascontiguousarray(block[:, self.channel])
            if not (np.abs(mono) <= LOUDEST).all():
                what = "samples beyond any scale" if np.isfinite(mono).all() else "NaN or infinite samples"
                raise AudioError(f"{self.name} holds {what}: repair the file or leave it out")
            yield mono
        end = self.num_samples if stop is None else min(stop, self.num_samples)
        if at < end - self._slack:
            raise AudioError(f"{self.name} is truncated: {at} of {self.num_samples} samples; copy or decode it again")
        if stop is None and at == 0:
            raise AudioError(f"{self.name} holds no samples: leave it out")

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Errors have the path, where there is one."""
        try:
            yield
        except AudioError as error:
            if error.path is None and self._path is not None:
                error.path = self._path
            raise

    def _look(self) -> FileLayout:
        try:
            if self._data is None:
                check_file(self.path, self.name)
                # As bytes, since names need not be UTF-8.
                return layout_at(os.fsencode(self.path))
            if self._data.seek(0, os.SEEK_END) == 0:
                raise AudioError(f"{self.name} is empty: leave it out or copy it again")
            return layout_of(self._data)
        except PermissionError as error:
            raise AudioError(f"{self.name} cannot be opened ({error.strerror}): allow reading it") from None
        except OSError as error:
            raise AudioError(f"{self.name} cannot be read ({error.strerror}): copy it again") from None

    def _raw(self) -> BinaryIO:
        if self._data is None:
            self._data = open(self.path, "rb")  # noqa: SIM115 (closed with the reader)
        return self._data

    def _open(self, index: int) -> Decoder:
        """The decoder of a stream, in the place of the one before."""
        if self._decoder is not None:
            self._decoder.close()
        path = os.fsencode(self.path)
        if pieces := self._layout.streams[index].pieces:
            source: bytes | BinaryIO = spliced(self._raw(), pieces)
        elif self._data is None and len(path) <= _LONG_PATH:
            source = path
        else:
            source = self._raw()
            if isinstance(source, io.BytesIO):  # a damaged header may ask for what lies before its start
                source = spliced(source, ((0, len(source.getbuffer())),))
            source.seek(0)
        self._decoder, self._index = Decoder(source, self.name), index
        return self._decoder

    def _length(self, decoder: Decoder) -> int:
        """Samples of a stream just opened, checked against what is there."""
        counted = self._layout.streams[self._index].num_samples
        if counted is not None:
            return counted
        if decoder.num_samples is None:  # a FLAC that was written to a pipe: count, then start again
            self._counted = True
            count = count_at(os.fsencode(self.path), self.name) if self._path is not None else count_samples(decoder)
            self._open(self._index)
            return count
        there, claimed = lacking(decoder.log, decoder.format) or (0, 0)
        if claimed - there > FEW:
            raise AudioError(f"{self.name} is truncated: {there} of {claimed} bytes of audio; copy it again")
        if claimed > there:
            self._warn(f"ends {claimed - there} bytes before its header says: all that is there is read")
        if "truncated file" in decoder.log:
            raise AudioError(f"{self.name} is truncated: copy it again")
        if (stated := self._layout.claimed) is not None and stated > decoder.num_samples:
            raise AudioError(f"{self.name} is truncated: {decoder.num_samples} of {stated} samples; copy it again")
        return decoder.num_samples

    def _warn(self, what: str) -> None:
        text = f"{self.name} {what}"
        if self.strict:
            raise AudioError(f"{text}: repair it, or read it without --strict")
        self.warnings.append(text)

    def _skip(self, start: int) -> int:
        """Go to sample ``start``, or the end of a shorter file; returns where that is."""
        target = min(start, self.num_samples)
        if self._streams == 1 and cast(Decoder, self._decoder).seek(target):
            return target
        # Lossy decoders need what came before to give the samples that they give in a whole read.
        at = 0
        while at < start and (count := len(self._read(at, min(start - at, self.rate)))):
            at += count
        return at

    def _read(self, at: int, count: int) -> np.ndarray:
        """Up to ``count`` samples from ``at`` on, where the decoder is, float32 [S, C]; none at the end of all."""
        while True:
            decoder = cast(Decoder, self._decoder)
            if self._ended:
                return np.zeros((0, decoder.channels), np.float32)
            # No further than the end: what follows may be no audio, and need not be decoded to tell.
            left = self._ends[self._index] - at
            try:
                block = decoder.read(min(count, left)) if left > 0 else np.zeros((0, decoder.channels), np.float32)
            except AudioError as error:
                block = self._before_damage(at, count, error)
            if len(block):
                return block
            if self._index + 1 < self._streams:
                self._open(self._index + 1)
            elif not (decoder.format == "FLAC" and left <= 0 and self._goes_on(at)):
                self._ended = True

    def _before_damage(self, at: int, count: int, error: AudioError) -> np.ndarray:
        """What is left of a stream whose last frame is damaged or cut off."""
        left = self._ends[self._index] - at
        block = until_damage(self._open(self._index), at - self._ends[self._index - 1] * (self._index > 0), count)
        if self.strict or left - len(block) > LAST_FRAME or self._index + 1 < self._streams:
            raise error
        self._warn("ends with a damaged frame, which is left out")
        self._slack, self._ended = max(self._slack, LAST_FRAME), True
        return block

    def _goes_on(self, at: int) -> bool:
        """After the stated end of a FLAC: whether there is more, with the decoder there."""
        file = self._raw()
        before = file.tell()  # where the decoder is, if it reads this very file
        what, stream = after_the_end(file, at)
        file.seek(before)
        if what == "joined":
            raise AudioError(f"{self.name} is of joined streams, of which FLAC has one a file: split it")
        if not what:
            return False
        self._warn(f"has a header that claims {at} samples, and more are read")
        self._layout = FileLayout((stream,))
        self._open(0).skip(at)
        self._ends = [2**62]
        return True


def read_audio(path: PathLike) -> tuple[np.ndarray, int]:
    """Read a whole file: float32 [S] mono (the mean of its channels), and its rate in Hz.

    A file that is damaged and yet can be read gives an :class:`AudioWarning`.

    Raises:
        AudioError: unreadable, empty, truncated, or with samples that are not finite.

    Examples:
        >>> audio, rate = codectok.read_audio("a.wav")
        >>> audio.shape, rate
        ((16000,), 16000)
    """
    with AudioReader(path) as reader:
        samples = np.concatenate(list(reader.blocks()))
        tell(reader)
        return samples, reader.rate


def tell(reader: AudioReader) -> None:
    """Give the warnings of a file that was read as Python's, which commands show in a line each."""
    for text in reader.warnings:
        warnings.warn(text, AudioWarning, stacklevel=3)


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
        tell(reader)
