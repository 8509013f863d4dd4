"""Baselines that need no model: Kaldi's log-mel filterbank and MFCC, a frame every 10 ms.

Povey et al., "The Kaldi speech recognition toolkit", ASRU 2011, with the settings that units were published with, on
samples in [-1, 1] and without dither:

- ``logmel``: 80 bins, the log-mel of Lakhotia et al., "On generative spoken language modeling from raw audio" (GSLM),
  TACL 2021.
- ``mfcc``: 13 coefficients, their deltas and the deltas of those (39), which HuBERT's first iteration is clustered
  from: Hsu et al., "HuBERT", TASLP 2021.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codectok.errors import CodectokError
from codectok.fingerprint import fingerprint
from codectok.units.encoders.options import EncoderOptions
from codectok.units.encoders.speech_encoder import SAMPLE_RATE, SpeechEncoder

HOP, WINDOW, FFT = 160, 400, 512
_FLOOR = torch.finfo(torch.float32).eps


@functools.cache
def _mel_filters(bins: int) -> Tensor:
    """Triangles, evenly spaced on the mel scale between 20 Hz and 8 kHz: [FFT // 2 + 1, bins]."""

    def mel(hertz: Any) -> Any:
        return 1127.0 * np.log(1.0 + np.asarray(hertz) / 700.0)

    edges = np.linspace(mel(20.0), mel(SAMPLE_RATE / 2), bins + 2)
    at = mel(np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT)[:, None]
    up = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0.0, np.minimum(up, down))
    filters[-1] = 0.0  # Kaldi leaves the Nyquist frequency out
    return torch.from_numpy(filters).float()


@functools.cache
def _window() -> Tensor:
    """Kaldi's "povey" window."""
    return torch.hann_window(WINDOW, periodic=False, dtype=torch.float64).pow(0.85).float()


@functools.cache
def _cosines(bins: int, coefficients: int) -> Tensor:
    """Orthonormal DCT-II with Kaldi's lifter of 22: [bins, coefficients]."""
    n, k = np.arange(bins)[:, None] + 0.5, np.arange(coefficients)
    transform = np.cos(math.pi / bins * n * k) * math.sqrt(2.0 / bins)
    transform[:, 0] = math.sqrt(1.0 / bins)
    return torch.from_numpy(transform * (1.0 + 11.0 * np.sin(math.pi * k / 22.0))).float()


def log_mel(samples: Tensor, bins: int) -> Tensor:
    """Kaldi's filterbank: float [S], S >= 400 -> natural log of energies [floor((S - 400) / 160) + 1, bins]."""
    frames = samples.unfold(0, WINDOW, HOP)
    frames = frames - frames.mean(1, keepdim=True)
    before = torch.cat([frames[:, :1], frames[:, :-1]], 1)
    power = torch.fft.rfft((frames - 0.97 * before) * _window(), FFT).abs().square()
    return (power @ _mel_filters(bins)).clamp_min(_FLOOR).log()


def deltas(x: Tensor) -> Tensor:
    """Regression over two frames on either side, the ends repeated: [T, D] -> [T, D]."""
    padded = F.pad(x.mT[None], (2, 2), mode="replicate")[0].mT
    count = len(x)
    return sum((j - 2) * padded[j : j + count] for j in (0, 1, 3, 4)) / 10.0  # type: ignore[return-value]


def mfcc(samples: Tensor) -> Tensor:
    """13 coefficients of 23 mel bins, deltas and double deltas: float [S], S >= 400 -> [T, 39]."""
    base = log_mel(samples, 23) @ _cosines(23, 13)
    first = deltas(base)
    return torch.cat([base, first, deltas(first)], 1)


class Baseline(SpeechEncoder):
    """``logmel`` or ``mfcc`` on the grid of the encoders: hop 160, receptive field 400.

    A frame sees a few others at most, so windows of long audio change nothing.
    """

    hop, receptive_field = HOP, WINDOW

    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__(nn.Identity(), **options)
        self.kind = kind

    def _prepare(self, samples: np.ndarray) -> Tensor:
        x = torch.from_numpy(self._padded(samples))
        return (mfcc(x) if self.kind == "mfcc" else log_mel(x, 80))[None]

    def _stack(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return x


def open_logmel(options: EncoderOptions) -> SpeechEncoder:
    """80 log-mel bands of Kaldi's filterbank, 100 frames a second: a baseline that needs no model."""
    return _baseline(options, 80)


def open_mfcc(options: EncoderOptions) -> SpeechEncoder:
    """13 mel-frequency cepstral coefficients with deltas and double deltas: the features of HuBERT's first units."""
    return _baseline(options, 39)


def _baseline(options: EncoderOptions, width: int) -> SpeechEncoder:
    """Named as in ``options``.

    Raises:
        CodectokError: another layer than 0, or an option that is for models.
    """
    name, layer = options.name, options.layer
    layers = [layer] if isinstance(layer, int) else list(layer)
    if layers not in ([0], [-1]):
        raise CodectokError(f"{name} has one layer: give 0")
    if options.convention != "hf" or options.dtype != "float32" or options.tail_seconds is not None:
        raise CodectokError(f"{name} is no model: leave convention, dtype and tail_seconds out")
    facts = {"baseline": name, "padding": options.padding, "version": 1}
    return Baseline(
        name,
        layer_dim=width,
        layers=(0,),
        padding=options.padding,
        given=options.given((0,)) | {"window_seconds": None, "overlap_seconds": None},
        fingerprint=fingerprint(facts),
        window_frames=6000,
        overlap_frames=1000,
        **options.running(),
    )
