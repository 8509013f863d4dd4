"""The harmonic codec's decoder: a network that shapes a source, bin by bin of the MDCT, and adds what is missing."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from codectok.codec.convnext import ConvNextStack
from codectok.codec.harmonic.ceiling import KNEE, BandCeiling
from codectok.codec.harmonic.config import PITCH_CENTRE, PITCH_RANGE, PITCH_SCALE, HarmonicCodecConfig
from codectok.codec.harmonic.excitation import GRID, Excitation
from codectok.codec.harmonic.mel import mel_filters
from codectok.codec.limiter import limit
from codectok.codec.mdct import InverseMdct
from codectok.codec.model import State


class HarmonicDecoder(nn.Module):
    """Quantized latents [B, T, latent_dim] to samples; the first frame gives ``mdct_hop`` samples fewer than others.

    The network (ConvNeXt blocks, as in Vocos, Siuzdak 2023) predicts four numbers for each MDCT bin:
    ``exp(h) * (harmonic + v * quadrature) + exp(n) * noise + compression * sinh(w)``. The first three say how loud, in
    which phase and how noisy the source is, as in sinusoidal coding (McAulay & Quatieri 1986) and DDSP; w is waveform,
    and takes over as the waveform's codebooks come in. With ``ceiling_bands`` and ``peak`` in the config, the result is
    limited band by band and sample by sample (:mod:`~codectok.codec.harmonic.ceiling`).
    """

    def __init__(self, config: HarmonicCodecConfig) -> None:
        super().__init__()
        self.config = c = config
        self.input = nn.Linear(c.latent_dim, c.code_dim)
        self.code_blocks = ConvNextStack(c.code_dim, c.code_depth)
        self.split = nn.Linear(c.code_dim, c.dim * c.merge)
        self.excitation = Excitation(c.sample_rate, c.mdct_hop, c.frame, c.noise_frames)
        self.source = nn.Linear(3 * c.frame, c.dim)
        self.blocks = ConvNextStack(c.dim, c.depth)
        self.norm = nn.LayerNorm(c.dim)
        self.output = nn.Linear(c.dim, 4 * c.frame)
        self.skip = nn.Linear(c.latent_dim, 3 * c.frame * c.merge, bias=False)
        self.imdct = InverseMdct(c.mdct_hop)
        self.ceiling: BandCeiling | None = None
        if c.ceiling_bands:
            self.ceiling = BandCeiling(c.latent_dim, c.merge, c.mdct_hop, c.ceiling_bands, c.sample_rate)
        with torch.no_grad():
            self.input.weight[:, c.pitch_at : c.envelope_at] *= 0.1
            self.source.weight.mul_(0.3)
            self.output.weight.mul_(0.3)
            self._start_output(self.output.bias.view(4, c.fold, c.mdct_hop))
            self._start_skip(self.skip.weight.view(c.merge, 3, c.fold, c.mdct_hop, c.latent_dim))

    def _start_output(self, bias: Tensor) -> None:
        """Set ``bias`` [h n w v, MDCT frame, bin]: quiet, falling with frequency, noisier towards the top."""
        tilt = torch.linspace(0, 1, self.config.mdct_hop)
        bias.zero_()
        bias[0] = -6.2 - tilt - 1.5 * tilt
        bias[1] = -6.2 - tilt - 1.5 * (1 - tilt)

    def _start_skip(self, weight: Tensor) -> None:
        """Set ``weight`` [network frame, h n w, MDCT frame, bin, latent] to undo the encoder's."""
        c = self.config
        shape = mel_filters(c.bands, c.mdct_hop, c.sample_rate)
        shape = shape / shape.sum(1, keepdim=True).clamp_min(1e-3)
        weight.zero_()
        for f in range(c.merge):
            bands = slice(c.envelope_at + f * c.bands, c.envelope_at + (f + 1) * c.bands)
            weight[f, :2, :, :, bands] = 1.15 * shape  # log10 of power to ln of amplitude
            for g in range(c.fold):
                for b in range(c.bins):
                    weight[f, 2, g, b, c.waveform_at + (f * c.fold + g) * c.bins + b] = 2.0

    def pitch(self, z: Tensor) -> Tensor:
        """Natural log of the pitch in Hz, float32 [B, T * merge], of latents [B, T, latent_dim].

        With gradient, for a pitch loss; also how pitch is read from codes.
        """
        c = self.config
        latent = z[..., c.pitch_at : c.envelope_at].reshape(z.shape[0], -1).float()
        low, high = PITCH_RANGE
        return (math.log(PITCH_CENTRE) + latent / PITCH_SCALE).clamp(math.log(low), math.log(high))

    def hertz(self, z: Tensor) -> Tensor:
        """Pitch that the source runs at, float64 [B, T * merge], without gradient; a multiple of 1/4096 Hz.

        It must be the same number however a stream was cut, since phase adds up its errors: a millionth off puts the
        highest harmonics off by half a turn within a minute. A network's output would be off by that much, as matrix
        products round differently for different shapes. This is arithmetic on each element alone, and the rounding
        hides the last digits of exp.
        """
        return (self.pitch(z).detach().double().exp() * GRID).round() / GRID

    def start(self, batch: int, generator: torch.Generator) -> State:
        """Random phases and noise positions for the ``start`` of :meth:`step`; see :meth:`Excitation.start`.

        Training begins every crop in one of these: a network that always saw phase 0 at the start of a crop would
        learn it by heart. All randomness is in the generator, so a run resumes exactly with its state.
        """
        return self.excitation.start(batch, generator)

    def step(self, z: Tensor, state: State, start: State = None) -> tuple[Tensor, State]:
        """One block of latents [B, T, latent_dim] -> samples [B, S].

        Args:
            z: quantized latents.
            state: of the last block; None begins a stream.
            start: where the source begins in a new stream, from :meth:`start` or by hand: ``phase`` float64 [B, 1] in
                cycles and ``at`` int64 [B, 1] in the noise table; None for 0.
        """
        samples, _, after = self.outputs(z, state, start)
        return samples, after

    def outputs(self, z: Tensor, state: State, start: State = None) -> tuple[Tensor, Tensor | None, State]:
        """As :meth:`step`, with the ceilings [B, T * merge, bands] of the block, which training has a loss of."""
        before = state or {}
        after: dict[str, State] = {}
        batch = z.shape[0]
        y, after["code_blocks"] = self.code_blocks.step(self.input(z), before.get("code_blocks"))
        y = self.split(y).reshape(batch, -1, self.config.dim)
        with torch.autocast(z.device.type, enabled=False):
            *source, after["excitation"] = self.excitation.step(self.hertz(z), before.get("excitation", start))
        y = y + self.source(torch.cat([q.reshape(batch, y.shape[1], -1) for q in source], 2))
        y, after["blocks"] = self.blocks.step(y, before.get("blocks"))
        controls, ceilings = (self.output(self.norm(y)).float(), self.skip(z).float()), None
        with torch.autocast(z.device.type, enabled=False):
            coefficients = self._shape(*controls, *source)
            if self.ceiling is not None:
                ceilings = self.ceiling.ceilings(z)
                coefficients = self.ceiling(coefficients, ceilings)
            samples, after["imdct"] = self.imdct.step(coefficients, before.get("imdct"))
        if self.config.peak:
            knee = KNEE * self.config.peak
            samples = limit(samples, knee, self.config.peak - knee)
        return samples if state else samples[:, self.config.mdct_hop :], ceilings, after

    def _shape(self, y: Tensor, skip: Tensor, harmonic: Tensor, quadrature: Tensor, noise: Tensor) -> Tensor:
        """MDCT coefficients [B, N, hop] of the network's outputs, the linear path's and the source's."""
        frame = self.config.frame
        y, v = y.split([3 * frame, frame], 2)
        h, n, w = (y + skip.reshape(y.shape)).split(frame, 2)
        h, n, w, v = (q.reshape(harmonic.shape) for q in (h, n, w, v))
        voiced = h.clamp(-14, 3).exp() * (harmonic + v.clamp(-8, 8) * quadrature)
        breath = n.clamp(-14, 3).exp() * noise
        return voiced + breath + self.config.compression * torch.sinh(w.clamp(-8, 8))
