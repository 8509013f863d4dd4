"""The envelope codec's decoder: a network that mixes shape and source in each bin, under the decoded envelope."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from codectok.codec.convnext import ConvNextStack
from codectok.codec.envelope.config import FRAMES, PITCH_CENTRE, EnvelopeCodecConfig
from codectok.codec.envelope.pitch import pitch_of, voicing_of
from codectok.codec.envelope.shaping import KNEE, ROOM, band_gains, mix
from codectok.codec.envelope.source import LevelSource
from codectok.codec.envelope.spectrum import BandSpectrum
from codectok.codec.limiter import limit
from codectok.codec.mdct import InverseMdct
from codectok.codec.model import State


class Parts(NamedTuple):
    """Slices of the quantized latents, [B, T, d] each."""

    semantic: Tensor
    pitch: Tensor
    envelope: Tensor
    shape: Tensor


class EnvelopeDecoder(nn.Module):
    """Quantized slices to samples; the first block gives ``mdct_hop`` samples fewer than others."""

    def __init__(self, config: EnvelopeCodecConfig) -> None:
        super().__init__()
        self.hop, self.source_bins = config.mdct_hop, config.source_bins
        semantic, pitch, envelope, shape = config.part_dims
        dim = config.decoder_dim
        self.shape_input = nn.Linear(shape, FRAMES * dim)
        self.base_input = nn.Linear(semantic + pitch + envelope, FRAMES * dim)
        self.frame_input = nn.Linear(config.bands + 3, dim)
        self.source_input = nn.Linear(2 * config.source_bins, dim, bias=False)
        self.source = LevelSource(config)
        self.blocks = ConvNextStack(dim, config.decoder_depth)
        self.norm = nn.LayerNorm(dim)
        self.output = nn.Linear(dim, 4 * config.mdct_hop)
        self.band_output = nn.Linear(dim, 2 * config.bands)
        self.skip = nn.Linear(shape, FRAMES * config.mdct_hop, bias=False)
        self.imdct = InverseMdct(config.mdct_hop)
        with torch.no_grad():
            self.base_input.weight.mul_(0.3)
            self.source_input.weight.mul_(0.3)
            for layer in (self.output, self.band_output):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)
            self.output.bias.view(4, -1)[1] = 0.3

    def start(self, batch: int, generator: torch.Generator) -> State:
        """Random phases and noise positions for the ``start`` of :meth:`step`; see :meth:`Excitation.start`."""
        return self.source.excitation.start(batch, generator)

    def step(
        self, parts: Parts, envelope: Tensor, spectrum: BandSpectrum, state: State, start: State = None
    ) -> tuple[Tensor, State]:
        """One block of T code frames -> samples [B, S].

        Args:
            parts: quantized; a frame without shape codes has a shape of zeros.
            envelope: decoded half log energies [B, 2 T, bands].
            spectrum: the bands.
            state: of the last block; None begins a stream.
            start: where the source begins in a new stream, from :meth:`start`; None for 0.
        """
        before = state or {}
        after: dict[str, State] = {}
        with torch.autocast(envelope.device.type, enabled=False):
            source, after["source"] = self.source.step(
                parts.pitch, spectrum.pool, spectrum.spread, before.get("source", start)
            )
        present = (parts.shape != 0).any(2, keepdim=True).to(envelope.dtype).repeat_interleave(FRAMES, 1)
        y = self._inputs(parts, envelope, present, source.pulses, source.quadrature)
        y, after["blocks"] = self.blocks.step(y, before.get("blocks"))
        y = self.norm(y)
        raw, bands, shape = self.output(y).float(), self.band_output(y).float(), self.skip(parts.shape).float()
        with torch.autocast(envelope.device.type, enabled=False):
            size = (*envelope.shape[:2], self.hop)
            mixed, energy = mix(raw.view(*size[:2], 4, self.hop), shape.view(size), present, source)
            gains = band_gains(energy @ spectrum.pool, *bands.chunk(2, 2)) @ spectrum.spread.T
            coefficients = mixed * gains.exp() * spectrum.audible_gains(envelope)
            samples, after["imdct"] = self.imdct.step(coefficients, before.get("imdct"))
        return limit(samples if state else samples[:, self.hop :], KNEE, ROOM), after

    def _inputs(self, parts: Parts, envelope: Tensor, present: Tensor, pulses: Tensor, quadrature: Tensor) -> Tensor:
        """What the network sees of each MDCT frame, [B, 2 T, dim]."""
        base = torch.cat([parts.semantic, parts.pitch * 0.25, parts.envelope], 2)
        y = (self.shape_input(parts.shape) + self.base_input(base)).reshape(*envelope.shape[:2], -1)
        height = pitch_of(parts.pitch)[..., None] - math.log(PITCH_CENTRE)
        voicing = voicing_of(parts.pitch)[..., None]
        frame = torch.cat([envelope / 2 + 2, 3 * height, voicing, present], 2)
        heard = torch.cat([pulses[..., : self.source_bins], quadrature[..., : self.source_bins]], 2)
        return y + self.frame_input(frame) + self.source_input(heard)
