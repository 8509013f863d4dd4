"""What the encoder sees of each network frame: waveform, envelope and pitch, each in a form that is easy to read."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from codectok.codec.harmonic.config import PITCH_CENTRE, PITCH_SCALE, HarmonicCodecConfig
from codectok.codec.harmonic.mel import mel_filters
from codectok.codec.mdct import Mdct
from codectok.codec.model import State

LAG_RANGE = (60, 500)
"""Hz, of the autocorrelation lags."""
PITCH_BAND = 4000
"""Hz; the pitch estimate looks below only."""


class Analysis(nn.Module):
    """Samples to features of width ``width`` a network frame; causal, without parameters, float32 under any autocast.

    In order: ``frame`` MDCT coefficients, compressed by asinh; ``mels`` log-mel bands of the last two frames; the
    generalised autocorrelation (of the spectrum to the power 0.3, Tolonen & Karjalainen 2000) of the same; pitch in
    the units of the pitch latents times voicing, and voicing.
    """

    window: Tensor
    wide: Tensor
    mel: Tensor

    def __init__(self, config: HarmonicCodecConfig) -> None:
        super().__init__()
        self.sample_rate, self.frame, self.compression = config.sample_rate, config.frame, config.compression
        self.mdct = Mdct(config.mdct_hop)
        self.n_fft = 2 ** math.ceil(math.log2(3 * self.frame))
        self.low, self.high = config.sample_rate // LAG_RANGE[1], -(-config.sample_rate // LAG_RANGE[0])
        self.mel_at = self.frame
        self.pitch_at = self.frame + config.mels + self.high - self.low
        self.width = self.pitch_at + 2
        filters = mel_filters(config.mels, self.n_fft // 2 + 1, config.sample_rate)
        self.register_buffer("window", torch.hann_window(2 * self.frame), persistent=False)
        self.register_buffer("wide", torch.hann_window(3 * self.frame), persistent=False)
        self.register_buffer("mel", filters, persistent=False)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Samples [B, T * frame] -> features [B, T, width]; the state is the MDCT's and the last two frames."""
        before = state or {}
        with torch.autocast(x.device.type, enabled=False):
            coefficients, carried = self.mdct.step(x, before.get("mdct"))
            waveform = torch.asinh(coefficients / self.compression).reshape(x.shape[0], -1, self.frame)
            past = before["past"] if before else x.new_zeros(x.shape[0], 2 * self.frame)
            joined = torch.cat([past, x], 1)
            power = self._power(joined[:, self.frame :], self.window)
            mel = torch.log10(power @ self.mel + 1e-6) + 2.0
            lags = torch.fft.irfft((power + 1e-7).pow(0.3))
            lags = lags[..., self.low : self.high] / lags[..., :1] * 4
            features = torch.cat([waveform, mel, lags, self.pitch(joined)], 2)
        return features, {"mdct": carried, "past": joined[:, -2 * self.frame :]}

    def _power(self, x: Tensor, window: Tensor) -> Tensor:
        """Power spectrum [B, T, n_fft / 2 + 1] of the window that ends with each frame."""
        spectrum = torch.fft.rfft(x.unfold(1, len(window), self.frame) * window, self.n_fft)
        return spectrum.real.square() + spectrum.imag.square()

    @torch.no_grad()
    def pitch(self, joined: Tensor) -> Tensor:
        """Pitch times voicing, and voicing: the autocorrelation's peak in the last three frames.

        Samples [B, (T + 2) * frame] -> [B, T, 2], the pitch as ``PITCH_SCALE * log(f0 / PITCH_CENTRE)``.
        """
        power = (self._power(joined, self.wide) + 1e-7).pow(0.6)
        power[..., PITCH_BAND * self.n_fft // self.sample_rate :] = 0
        r = torch.fft.irfft(power)[..., : self.high + 1]
        r = r / r[..., :1]
        peak, at = r[..., self.low : self.high].max(-1)
        at = at + self.low
        left, right = (r.gather(-1, (at + side)[..., None]).squeeze(-1) for side in (-1, 1))
        # Between the samples by a parabola through the peak's neighbours.
        lag = at + (0.5 * (left - right) / (left - 2 * peak + right - 1e-6)).clamp(-0.5, 0.5)
        voiced = torch.sigmoid((peak - 0.4) * 20)
        return torch.stack([voiced * torch.log(self.sample_rate / PITCH_CENTRE / lag) * PITCH_SCALE, voiced], -1)
