"""Metrics that compare the samples of a reconstruction with those of the original."""

from __future__ import annotations

import warnings

import numpy as np

from codectok import audio as _audio
from codectok.metrics.mel import log_mel
from codectok.metrics.native import native
from codectok.metrics.registry import Metric, MetricError, MetricUnavailable

RATE = 16000
"""Hz at which every metric here is computed: what wide-band PESQ is defined for."""

_BENCH = "pip install 'codectok[bench]'"
_MAX_DB = 100.0
"""Bound of SI-SDR: 16-bit audio cannot show more, and an infinite clip would swallow every mean."""
_MEL_SCALES = ((256, 20), (512, 40), (1024, 80), (2048, 160))
"""Windows in samples at 16 kHz, and mel bands."""


def aligned_pair(reference: np.ndarray, estimate: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Both clips as float64 [S'] at 16 kHz.

    Raises:
        MetricError: not [S], unequal lengths (nothing is trimmed to fit), empty, or not finite.
    """
    pair = [np.asarray(x) for x in (reference, estimate)]
    if pair[0].ndim != 1 or pair[0].shape != pair[1].shape:
        raise MetricError(f"original {list(pair[0].shape)} and reconstruction {list(pair[1].shape)} must be equal [S]")
    if not pair[0].size:
        raise MetricError("there are no samples to compare")
    if not all(np.isfinite(x).all() for x in pair):
        raise MetricError("a sample is NaN or infinite")
    first, second = (_audio.resample(x.astype(np.float32), rate, RATE).astype(np.float64) for x in pair)
    return first, second


def one_clip(estimate: np.ndarray, rate: int) -> np.ndarray:
    """A clip that is judged alone, float64 [S'] at 16 kHz.

    Raises:
        MetricError: not [S], empty, silent, or not finite.
    """
    clip = aligned_pair(estimate, estimate, rate)[0]
    if not clip.any():
        raise MetricError("a silent clip has nothing to judge")
    return clip


def finite(value: float, name: str) -> float:
    """The value.

    Raises:
        MetricError: it is NaN or infinite.
    """
    if not np.isfinite(value):
        raise MetricError(f"{name} is {value} on this clip")
    return float(value)


def pesq_wb(reference: np.ndarray, estimate: np.ndarray, rate: int) -> float:
    """Wide-band PESQ, MOS-LQO 1.0 to 4.64 (ITU-T P.862.2).

    Raises:
        MetricUnavailable: the package ``pesq`` is missing.
        MetricError: no speech found, shorter than 1/4 s, or unequal lengths; its C code crashed on the clip.
    """
    try:
        import pesq
    except ImportError as error:
        raise MetricUnavailable(f"PESQ is not installed: {_BENCH}") from error
    ref, est = aligned_pair(reference, estimate, rate)
    if not est.any():
        # The C code divides by the level of the estimate.
        raise MetricError("PESQ is not defined for a silent reconstruction")
    try:
        value = native("PESQ", pesq.pesq, RATE, ref.astype(np.float32), est.astype(np.float32), "wb")
    except pesq.PesqError as error:
        reason = error.args[0] if error.args else error
        raise MetricError(f"PESQ: {reason.decode() if isinstance(reason, bytes) else reason}") from error
    return finite(value, "PESQ")


def _stoi(reference: np.ndarray, estimate: np.ndarray, rate: int, extended: bool) -> float:
    name = "ESTOI" if extended else "STOI"
    try:
        import pystoi
    except ImportError as error:
        raise MetricUnavailable(f"{name} is not installed: {_BENCH}") from error
    ref, est = aligned_pair(reference, estimate, rate)
    if not ref.any() or not est.any():
        raise MetricError(f"{name} is not defined for silence")
    with warnings.catch_warnings():
        # pystoi answers 1e-5 with a warning where too few frames are loud enough: that is no score.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            value = pystoi.stoi(ref, est, RATE, extended=extended)
        except (RuntimeWarning, ValueError, IndexError) as error:
            raise MetricError(f"{name}: less than 0.4 s of audible speech") from error
    return finite(value, name)


def stoi(reference: np.ndarray, estimate: np.ndarray, rate: int) -> float:
    """Short-time objective intelligibility, 0 to 1 (Taal et al. 2011). Raises as :func:`pesq_wb` does."""
    return _stoi(reference, estimate, rate, extended=False)


def estoi(reference: np.ndarray, estimate: np.ndarray, rate: int) -> float:
    """Extended STOI, 0 to 1 (Jensen and Taal 2016). Raises as :func:`pesq_wb` does."""
    return _stoi(reference, estimate, rate, extended=True)


def si_sdr(reference: np.ndarray, estimate: np.ndarray, rate: int) -> float:
    """Scale-invariant signal-to-distortion ratio in dB, means removed, bounded to +-100 dB (Le Roux et al. 2019).

    Raises:
        MetricError: either clip is constant, or unequal lengths.
    """
    ref, est = (x - x.mean() for x in aligned_pair(reference, estimate, rate))
    power, power_est = float(ref @ ref), float(est @ est)
    # Removing the mean of a constant leaves rounding noise: that is silence, too.
    if min(power, power_est) <= 1e-20 * ref.size:
        raise MetricError("SI-SDR is not defined for silence")
    target = (float(est @ ref) / power) * ref
    error = est - target
    ratio = max(float(target @ target), 1e-30) / max(float(error @ error), 1e-30)
    return float(np.clip(10.0 * np.log10(ratio), -_MAX_DB, _MAX_DB))


def mel_distance(reference: np.ndarray, estimate: np.ndarray, rate: int) -> float:
    """Mean absolute difference in dB of mel magnitudes, averaged over four windows of 16 to 128 ms.

    Magnitudes under -100 dB of full scale count as -100 dB. Multi-scale as in Kumar et al. 2023 (DAC), section 3.4.
    """
    ref, est = aligned_pair(reference, estimate, rate)
    distances = [
        np.abs(
            log_mel(ref, RATE, window, window // 4, bands, RATE / 2)
            - log_mel(est, RATE, window, window // 4, bands, RATE / 2)
        ).mean()
        for window, bands in _MEL_SCALES
    ]
    return finite(float(np.mean(distances)), "mel distance")


PESQ = Metric("pesq", "PESQ", pesq_wb, "MOS", True, "ITU-T P.862.2 (2007)", install=_BENCH)
"""Perceptual evaluation of speech quality, wideband: what listeners would say of telephony. Blind to gain a band."""
STOI = Metric("stoi", "STOI", stoi, "", True, "Taal et al., IEEE TASLP 19(7), 2011", 3, _BENCH)
"""Short-time objective intelligibility: correlation of band envelopes over 384 ms."""
ESTOI = Metric("estoi", "ESTOI", estoi, "", True, "Jensen and Taal, IEEE/ACM TASLP 24(11), 2016", 3, _BENCH)
"""Extended STOI: of spectra normalised over time and band."""
SI_SDR = Metric("si_sdr", "SI-SDR", si_sdr, "dB", True, "Le Roux et al., ICASSP 2019")
"""Scale-invariant signal-to-distortion ratio: how near the waveform is."""
MEL = Metric("mel", "mel distance", mel_distance, "dB", False, "after Kumar et al., NeurIPS 2023 (DAC), section 3.4")
"""Mean absolute difference of log-mel magnitudes over four window lengths."""
