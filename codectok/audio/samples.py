"""Samples in memory: what is usable audio, mixing down, and resampling (soxr)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import soxr

from codectok.errors import AudioError

if TYPE_CHECKING:
    from torch import Tensor

Audio: TypeAlias = "np.ndarray | Tensor | Sequence[float]"
"""float in [-1, 1), or int16: [S], or [C, S] to be mixed down. numpy or torch."""
LOUD = 4.0
"""Float samples beyond it, full scale being 1, are not audio of a wrong level but of a wrong unit, ..."""
LOUD_SHARE = 0.01
"""... if there are more of them than this."""
LOUDEST = 2.0**32
"""Beyond it no sample is audio at any scale, not even that of 32-bit integers."""
MAX_CHANNELS = 64
"""A file that claims more is damaged, and more rows of an array are samples: [S, C] was given instead of [C, S]."""
MAX_RATE = 1_000_000
"""Hz; above it is no recording's, and a file that claims it is damaged."""
MAX_RATIO = 1000
"""Resampling further than this is a wrong rate, and would turn a small file into an endless one."""


def check_rate(rate: Any) -> int:
    """The sample rate as an int, in Hz.

    Raises:
        AudioError: it is None, not a whole number, not positive, or above 1 MHz.
    """
    if rate is None:
        raise AudioError("audio given as samples needs its sample rate: pass rate in Hz")
    try:
        whole = int(rate)
        usable = not isinstance(rate, (bool, str)) and whole == rate and 1 <= whole <= MAX_RATE
    except (TypeError, ValueError, OverflowError):
        usable = False
    if not usable:
        raise AudioError(f"{rate!r} is not a sample rate: pass rate in Hz, a whole number above 0")
    return whole


def check_samples(samples: np.ndarray) -> None:
    """Raise AudioError if there are no float samples [S], one is not finite, or they have the scale of integers."""
    if len(samples) == 0:
        raise AudioError("the audio is empty: give at least one sample")
    check_finite(samples)
    if (loudest := float(np.abs(samples).max())) > LOUDEST:
        raise AudioError(f"a sample is {loudest:g}, where full scale is 1: repair the audio or leave it out")
    check_scale(count_loud(samples), len(samples))


def check_finite(samples: np.ndarray) -> None:
    """Raise AudioError if one of the float samples [S] is NaN or infinite."""
    finite = np.isfinite(samples)
    if not finite.all():
        raise AudioError(f"sample {int(np.argmin(finite))} is NaN or infinite: repair the audio or leave it out")


def count_loud(samples: np.ndarray) -> int:
    """How many float samples [S] are beyond ``LOUD``, for :func:`check_scale`."""
    return int(np.count_nonzero(np.abs(samples) > LOUD))


def check_scale(loud: int, total: int) -> None:
    """Raise AudioError if so many of ``total`` samples are beyond ``LOUD`` that they must be integers made float."""
    if loud > LOUD_SHARE * total:
        raise AudioError(
            f"{100 * loud / total:.0f} % of the samples are beyond +-{LOUD:g}, where full scale is 1: they have the "
            "scale of integers (divide them by 32768, or give them as int16)"
        )


def as_mono(audio: Audio) -> np.ndarray:
    """Float or int16 samples [S], or [C, S] mixed down by the mean of the channels, as float32 [S].

    int16 counts 32768 to a unit. The result may share memory with the input.

    Raises:
        AudioError: of another type, or a shape that is neither [S] nor [C, S] with at most 64 channels.
    """
    array = _as_array(audio)
    if array.ndim == 2 and array.shape[0] > MAX_CHANNELS:
        raise AudioError(
            f"audio of shape {list(array.shape)} would have {array.shape[0]} channels: give [C, S], which is audio.T"
        )
    if array.ndim == 2 and array.shape[0]:
        return mix(array)
    if array.ndim != 1:
        raise AudioError(f"audio of shape {list(array.shape)} is neither [S] nor [C, S]")
    with np.errstate(over="ignore"):  # beyond float32 becomes Inf, which check_samples refuses
        return np.ascontiguousarray(array, dtype=np.float32)


def _as_array(audio: Any) -> np.ndarray:
    torch = sys.modules.get("torch")  # whoever holds a tensor has imported it
    if torch is not None and isinstance(audio, torch.Tensor):
        audio = audio.detach().cpu()
        audio = (audio.float() if audio.is_floating_point() else audio).numpy()  # float: numpy has no bfloat16
    try:
        array = np.asarray(audio)
    except ValueError:
        raise AudioError("the audio is a ragged list: give float samples [S], or [C, S]") from None
    if array.dtype == np.int16:
        return array.astype(np.float32) / np.float32(32768.0)
    if array.dtype.kind != "f":
        raise AudioError(
            f"samples of type {array.dtype} are neither floating point nor int16: scale them to [-1, 1) as float32"
        )
    return array


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Finite float samples, any shape, as a 16-bit file stores them: int16, 32768 to a unit, rounded, clipped.

    The one way from float to 16 bit: what is written, scored, cached and shown cannot differ. :func:`as_written` is the
    way back.
    """
    scaled = np.rint(np.asarray(samples, dtype=np.float32) * np.float32(32768.0))
    return np.clip(scaled, -32768, 32767).astype(np.int16)


def as_written(samples: np.ndarray) -> np.ndarray:
    """Finite float samples, any shape, as they come back from a 16-bit file: float32 in [-1, 1 - 2^-15]."""
    return to_int16(samples).astype(np.float32) / np.float32(32768.0)


def mix(channels: np.ndarray) -> np.ndarray:
    """Mean over C of float [C, S], C >= 1, as float32 [S].

    Summed channel by channel, so that memory order and block size never matter.
    """
    if len(channels) == 1:
        return np.ascontiguousarray(channels[0], dtype=np.float32)
    total = channels[0].astype(np.float64)
    for channel in channels[1:]:
        total += channel
    with np.errstate(over="ignore"):
        return (total / len(channels)).astype(np.float32)


class Resampler:
    """Streaming resampler (soxr, HQ): any split of the input gives the same samples, ceil(S * to / rate) in all.

    Args:
        rate: Hz of the samples pushed.
        to: Hz of the samples given back.

    Raises:
        AudioError: an unusable rate, or two more than a factor of 1000 apart.
    """

    def __init__(self, rate: int, to: int) -> None:
        self.rate, self.to = check_rate(rate), check_rate(to)
        if max(self.rate, self.to) > MAX_RATIO * min(self.rate, self.to):
            raise AudioError(f"cannot resample from {rate} to {to} Hz: check the rate of the audio")
        self._stream = soxr.ResampleStream(self.rate, self.to, 1, dtype="float32") if self.rate != self.to else None
        self._taken = self._given = 0

    def push(self, chunk: np.ndarray) -> np.ndarray:
        """float32 [S] at ``rate``, any S -> float32 [S'] at ``to``: the samples that are ready."""
        chunk = np.ascontiguousarray(chunk, dtype=np.float32)
        if self._stream is None or len(chunk) == 0:
            return chunk
        self._taken += len(chunk)
        out = self._stream.resample_chunk(chunk)
        self._given += len(out)
        return out

    def flush(self) -> np.ndarray:
        """The samples [S'] still held back; nothing can be pushed after."""
        if self._stream is None:
            return np.zeros(0, np.float32)
        # soxr rounds the length where the contract is ceil. Silence worth one more output sample makes it interpolate
        # the last one, which zero-padding the output would not.
        silence = np.zeros(-(-self.rate // self.to), np.float32)
        out = self._stream.resample_chunk(silence, last=True)
        return out[: -(-self._taken * self.to // self.rate) - self._given]


def resample(samples: np.ndarray, rate: int, to: int) -> np.ndarray:
    """float32 [S] at ``rate`` Hz -> float32 [ceil(S * to / rate)] at ``to`` Hz; the samples themselves if equal.

    Raises:
        AudioError: an unusable rate, or two more than a factor of 1000 apart.
    """
    resampler = Resampler(rate, to)
    first = resampler.push(samples)
    rest = resampler.flush()
    return np.concatenate([first, rest]) if len(rest) else first
