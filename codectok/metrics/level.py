"""What PESQ and STOI are deaf to: level, levels of octave bands, bursts, spectral distance, clipping.

PESQ takes gain out, and gain a band, before it compares; STOI correlates envelopes: a codec may be 20 dB too loud in
one octave, or clip, and neither moves. These measures hear only that, so none of them is a figure of quality alone.

All are computed on the clips as a 16-bit file stores them (:func:`codectok.audio.as_written`): what a user gets.
Bands and frames are taken at 16 kHz, from windows of 40 ms every 20 ms whose squares add up to 1 (the square root of
Hann's), so that the energies of all frames and bins add up to the clip's energy.
"""

from __future__ import annotations

import numpy as np

from codectok.metrics.mel import magnitudes
from codectok.metrics.registry import Metric, MetricError, as_file
from codectok.metrics.signal import RATE, aligned_pair, finite

OCTAVES = ((100, 200), (200, 400), (400, 800), (800, 1600), (1600, 3200), (3200, 6400))
"""Edges in Hz of the bands, [low, high)."""
HOP, WINDOW = 320, 640
"""Samples at 16 kHz."""
ACTIVE_DB = 40.0
"""A frame is active within so many dB of the original's loudest frame."""
LOUD_DB = 6.0
"""Excess in any octave that makes a frame too loud."""
BAND_FLOOR_DB = 60.0
"""A band's energy over the clip is counted as no less than so many dB below the original's energy in all bands."""
FRAME_FLOOR_DB = 40.0
"""A band's energy in a frame of the original is counted as no less than so many dB below that of its loudest band and
frame: less is masked, and where the original has nothing in a band, any noise at all would be an infinite excess."""
FULL_SCALE = 32767
"""16-bit values of this magnitude or more are at full scale, and some programs clip at -32767."""
PEAK_DB = -0.1
"""dBFS over which a peak leaves no room."""
LSD_WINDOW, LSD_HOP = 512, 128
LSD_RANGE_DB = 80.0
"""Power further below the original's strongest bin is counted as that: the difference of two silences is none."""


def level(reference: np.ndarray, estimate: np.ndarray, rate: int) -> float:
    """RMS of the decoded clip over the original's in dB, signed: + is too loud.

    It cannot hear where in time or frequency the level is wrong: a loud band beside a missing one cancels.

    Raises:
        MetricError: either clip is silent as 16 bit, or unequal lengths.
    """
    ref, est = _pair(reference, estimate, rate)
    return 10.0 * float(np.log10(float(est @ est) / float(ref @ ref)))


def octave_levels(reference: np.ndarray, estimate: np.ndarray, rate: int) -> np.ndarray:
    """Level of each of :data:`OCTAVES` over the original's in dB, signed, float64 [6].

    Energies of the whole clip; one under the floor (:data:`BAND_FLOOR_DB`) counts as the floor, so a band that is empty
    in both is right. It cannot hear when in time a band is wrong: a burst hides among frames that are right.
    Raises as :func:`level` does.
    """
    ref, est = _pair(reference, estimate, rate)
    first, second = (band_energies(x).sum(0) for x in (ref, est))
    floor = first.sum() * 10.0 ** (-BAND_FLOOR_DB / 10)
    if not floor:
        raise MetricError("the original has nothing between 100 and 6400 Hz")
    return np.asarray(10.0 * np.log10(np.maximum(second, floor) / np.maximum(first, floor)))


def worst_octave(reference: np.ndarray, estimate: np.ndarray, rate: int) -> float:
    """The one of :func:`octave_levels` that is furthest from 0, signed. Deaf and failing as that is."""
    levels = octave_levels(reference, estimate, rate)
    return float(levels[np.abs(levels).argmax()])


def frame_excess(reference: np.ndarray, estimate: np.ndarray, rate: int) -> np.ndarray:
    """Of each active 20 ms frame, how far the loudest octave is over the original's in dB, float64 [frames].

    Active is a frame of the original within 40 dB (:data:`ACTIVE_DB`) of its loudest; a band of it counts as no less
    than :data:`FRAME_FLOOR_DB` below the loudest band and frame. Frames that are too quiet, and noise in pauses, are
    not heard. Raises as :func:`level` does.
    """
    ref, est = _pair(reference, estimate, rate)
    first, second = band_energies(ref), band_energies(est)
    frames = first.sum(1)
    if not frames.any():
        raise MetricError("the original has nothing between 100 and 6400 Hz")
    active = frames >= frames.max() * 10.0 ** (-ACTIVE_DB / 10)
    floor = first.max() * 10.0 ** (-FRAME_FLOOR_DB / 10)
    ratio = np.maximum(second[active], floor) / np.maximum(first[active], floor)
    return np.asarray(10.0 * np.log10(ratio.max(1)))


def loud_frames(reference: np.ndarray, estimate: np.ndarray, rate: int) -> float:
    """Share in % of active 20 ms frames more than 6 dB (:data:`LOUD_DB`) too loud in any octave: bursts.

    It hears neither what is too quiet nor noise in pauses (see :func:`frame_excess`, which it counts); and a coder that
    keeps no waveform (a vocoder) has some of these by chance, where noise is drawn anew.
    """
    return 100.0 * float((frame_excess(reference, estimate, rate) > LOUD_DB).mean())


def peak_excess(reference: np.ndarray, estimate: np.ndarray, rate: int) -> float:
    """The 99 % quantile of :func:`frame_excess` in dB: how loud the bursts are. Deaf and failing as that is."""
    return float(np.quantile(frame_excess(reference, estimate, rate), 0.99))


def log_spectral_distance(reference: np.ndarray, estimate: np.ndarray, rate: int) -> float:
    """Log-spectral distance in dB: root mean square over bins of the dB difference of powers, mean over frames.

    d_2 of Gray and Markel 1976 on the periodograms of Hann windows (32 ms every 8 ms, edges padded with zeros), each
    power counted as no less than 80 dB (:data:`LSD_RANGE_DB`) below the original's strongest. All frames and bins count
    alike, so it is mostly about weak bins, and it cannot tell too loud from too quiet; phase is not heard.

    Raises:
        MetricError: either clip is silent as 16 bit, or unequal lengths.
    """
    ref, est = (magnitudes(x, LSD_WINDOW, LSD_HOP).astype(np.float64) for x in _pair(reference, estimate, rate))
    floor = ref.max() * 10.0 ** (-LSD_RANGE_DB / 20)
    difference = 20.0 * np.log10(np.maximum(ref, floor) / np.maximum(est, floor))
    return finite(float(np.sqrt((difference**2).mean(1)).mean()), "log-spectral distance")


def clipped(reference: np.ndarray, estimate: np.ndarray, rate: int) -> float:
    """Samples at 16-bit full scale in % of all, beyond as many as the original has, at the clips' own rate.

    It cannot hear how far over full scale the audio was, nor clipping that was turned down afterwards.

    Raises:
        MetricError: unequal lengths, or not finite.
    """
    aligned_pair(reference, estimate, rate)
    before, after = (int((_magnitude(x) >= FULL_SCALE).sum()) for x in (reference, estimate))
    return 100.0 * max(0, after - before) / len(estimate)


def peak_over(estimate: np.ndarray, rate: int) -> float:
    """100 where the clip's highest 16-bit sample lies over -0.1 dBFS (:data:`PEAK_DB`), else 0: a mean is a share in %.

    The original may peak there, too: compare with its own share. Peaks between samples are not heard.

    Raises:
        MetricError: empty, or not finite.
    """
    aligned_pair(estimate, estimate, rate)
    return 100.0 * bool(_magnitude(estimate).max() > 32768 * 10.0 ** (PEAK_DB / 20))


def band_energies(samples: np.ndarray) -> np.ndarray:
    """Energy (sum of squares) of each octave in each frame, float64 [frames, 6], of float [S] at 16 kHz."""
    shape = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW))
    padded = np.pad(np.asarray(samples, dtype=np.float64), (WINDOW - HOP, WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: len(samples) + HOP : HOP]
    # A bin in the middle of the spectrum stands for two of a full DFT, whose energy is WINDOW times the frame's.
    power = 2.0 / WINDOW * np.abs(np.fft.rfft(frames * shape)) ** 2
    hz = np.arange(WINDOW // 2 + 1) * RATE / WINDOW
    inside = np.stack([(hz >= low) & (hz < high) for low, high in OCTAVES], 1)
    return np.asarray(power @ inside)


def _pair(reference: np.ndarray, estimate: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Both as written, at 16 kHz; neither silent."""
    ref, est = aligned_pair(as_file(reference), as_file(estimate), rate)
    if not ref.any() or not est.any():
        raise MetricError("levels are not defined for silence")
    return ref, est


def _magnitude(samples: np.ndarray) -> np.ndarray:
    return np.abs(32768 * as_file(samples))


def _octave(index: int) -> Metric:
    def one(reference: np.ndarray, estimate: np.ndarray, rate: int) -> float:
        return float(octave_levels(reference, estimate, rate)[index])

    low, high = OCTAVES[index]
    one.__doc__ = f"Level at {low} to {high} Hz: see :func:`octave_levels`."
    return Metric(f"octave_{low}", f"{low}-{high} Hz", one, "dB", False, _HOUSE, 1, signed=True, bound=3.0)


_HOUSE = "codectok.metrics.level, on 16-bit audio"
OCTAVE_METRICS = tuple(f"octave_{low}" for low, _ in OCTAVES)
"""Names of the metrics of the single bands."""
HEADLINE = ("level", "worst_octave", "lsd", "loud_frames", "clipped", "peak")
"""Names of what stands beside PESQ and STOI in every table."""

LEVEL = Metric("level", "level", level, "dB", False, _HOUSE, 1, signed=True, bound=1.0)
"""RMS of the decoded clip over the original's: + is too loud."""
WORST_OCTAVE = Metric("worst_octave", "worst octave", worst_octave, "dB", False, _HOUSE, 1, signed=True, bound=3.0)
"""The octave band whose level is furthest from the original's."""
OCTAVE_100, OCTAVE_200, OCTAVE_400, OCTAVE_800, OCTAVE_1600, OCTAVE_3200 = map(_octave, range(len(OCTAVES)))
"""Level of one octave band over the original's, from the frequency in its name up."""
LOUD_FRAMES = Metric("loud_frames", "loud frames", loud_frames, "%", False, _HOUSE, 1, bound=1.0)
"""Share of frames more than 6 dB too loud in any octave: bursts."""
EXCESS_99 = Metric("excess_99", "frame excess, 99 %", peak_excess, "dB", False, _HOUSE, 1)
"""How loud the bursts are: the 99 % quantile of the frames' excess."""
LSD = Metric("lsd", "LSD", log_spectral_distance, "dB", False, "Gray and Markel, IEEE TASSP 24(5), 1976")
"""Log-spectral distance, mostly about weak bins."""
CLIPPED = Metric("clipped", "clipped", clipped, "%", False, _HOUSE, 3, bound=0.01)
"""Samples at 16-bit full scale beyond the original's."""
PEAK = Metric("peak", "high peaks", peak_over, "%", False, "over -0.1 dBFS, of 16-bit audio", 0, kind="reference-free")
"""Clips whose highest sample leaves no room."""
