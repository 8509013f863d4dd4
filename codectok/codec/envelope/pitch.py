"""Pitch and voicing of each MDCT frame, from a generalised autocorrelation (Tolonen & Karjalainen 2000)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from codectok.codec.envelope.config import (
    FRAMES,
    PITCH_CENTRE,
    PITCH_RANGE,
    PITCH_SCALE,
    VOICING_SCALE,
    EnvelopeCodecConfig,
)
from codectok.codec.harmonic.excitation import GRID

POWER = 0.6
"""Of the power spectrum: between autocorrelation (1) and cepstrum (towards 0)."""
OCTAVE_COST = 0.03
"""Off the peak for each octave that a lag is longer: of two equal peaks the shorter is the pitch."""
BAND = 4000
"""Hz; the estimate looks below only."""
VOICED_PEAK, VOICED_SLOPE = 0.4, 15.0
"""Height of a peak that is half voiced, and how sharply voicing turns there."""
LOW_VOICE = 125
"""Hz under which the longer window's pitch is taken: two periods of it do not fit into the shorter one."""
HEARD_PEAK, HEARD_SLOPE = 0.3, 40.0
"""The same for the pitch, which goes to PITCH_CENTRE where there is none: codes are not spent on it."""


class Autocorrelation(nn.Module):
    """Samples to the peak of one window's autocorrelation, without parameters.

    Args:
        sample_rate: Hz.
        hop: samples from window to window.
        length: of the window, which ends with its hop.
    """

    window: Tensor
    bias: Tensor
    cost: Tensor

    def __init__(self, sample_rate: int, hop: int, length: int) -> None:
        super().__init__()
        self.hop, self.length = hop, length
        self.low, self.high = int(sample_rate / PITCH_RANGE[1]), math.ceil(sample_rate / PITCH_RANGE[0])
        self.n_fft = 2 ** math.ceil(math.log2(length + self.high + 2))
        self.top = BAND * self.n_fft // sample_rate
        window = torch.hann_window(length)
        # A window's own autocorrelation falls with the lag; half of that (in dB) is taken back.
        own = torch.fft.irfft(torch.fft.rfft(window.double(), 4 * self.n_fft).abs().square())[: self.high + 2]
        lags = torch.arange(self.low, self.high + 1, dtype=torch.float64)
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("bias", (own / own[0]).clamp_min(0.2).sqrt().float(), persistent=False)
        self.register_buffer("cost", (OCTAVE_COST * torch.log2(lags / self.low)).float(), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Samples [B, S] -> lag in samples and height of the peak, [B, T] each, of every window that fits."""
        spectrum = torch.fft.rfft(x.unfold(1, self.length, self.hop) * self.window, self.n_fft)
        power = (spectrum.real.square() + spectrum.imag.square() + 1e-7).pow(POWER)
        power[..., self.top :] = 0
        r = torch.fft.irfft(power)[..., : self.high + 2]
        r = r / r[..., :1]
        at = (r[..., self.low : -1] / self.bias[self.low : -1] - self.cost).argmax(-1) + self.low
        left, middle, right = (r.gather(-1, (at + side)[..., None]).squeeze(-1) for side in (-1, 0, 1))
        # Between the samples by a parabola through the peak's neighbours.
        lag = at + (0.5 * (left - right) / (left - 2 * middle + right - 1e-6)).clamp(-0.5, 0.5)
        return lag, middle / self.bias[at]


class PitchAnalysis(nn.Module):
    """Samples to pitch latents, without parameters: [pitch, pitch, voicing, voicing] of a code frame's two frames.

    The window is that of the MDCT frame, two hops that end with it, so that pitch belongs to the same time; and three
    for low voices.
    """

    def __init__(self, config: EnvelopeCodecConfig) -> None:
        super().__init__()
        self.sample_rate, self.hop = config.sample_rate, config.mdct_hop
        self.short, self.long = (Autocorrelation(self.sample_rate, self.hop, n * self.hop) for n in (2, 3))

    @torch.no_grad()
    def analyse(self, joined: Tensor) -> Tensor:
        """Samples [B, (2 T + 2) * hop], two hops of them past, -> latents [B, T, 4]."""
        lag, peak = self.short(joined[:, self.hop :])
        long_lag, long_peak = self.long(joined)
        low = self.sample_rate < LOW_VOICE * long_lag
        lag, peak = torch.where(low, long_lag, lag), torch.where(low, torch.maximum(peak, long_peak), peak)
        heard = torch.sigmoid((peak - HEARD_PEAK) * HEARD_SLOPE)
        pitch = heard * PITCH_SCALE * torch.log(self.sample_rate / PITCH_CENTRE / lag)
        voicing = VOICING_SCALE * torch.sigmoid((peak - VOICED_PEAK) * VOICED_SLOPE)
        return torch.cat([x.reshape(x.shape[0], -1, FRAMES) for x in (pitch, voicing)], 2)


def pitch_of(latents: Tensor) -> Tensor:
    """Natural log of the pitch in Hz, float32 [B, 2 T], of pitch latents [B, T, 4]."""
    low, high = PITCH_RANGE
    found = math.log(PITCH_CENTRE) + latents[..., :FRAMES].flatten(1).float() / PITCH_SCALE
    return found.clamp(math.log(low), math.log(high))


def hertz_of(latents: Tensor) -> Tensor:
    """Pitch that the source runs at, float64 [B, 2 T], a multiple of 1/4096 Hz.

    The same number however a stream was cut, for the reasons of
    :meth:`~codectok.codec.harmonic.decoder.HarmonicDecoder.hertz`.
    """
    return (pitch_of(latents).double().exp() * GRID).round() / GRID


def voicing_of(latents: Tensor) -> Tensor:
    """Voicing from 0 to 1, [B, 2 T], of pitch latents [B, T, 4]."""
    return latents[..., FRAMES:].flatten(1) / VOICING_SCALE
