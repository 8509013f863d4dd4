"""The envelope codec: a causal speech codec that sends the spectral envelope first, and codes what is left.

Its latent has four slices, each with codebooks of its own: what is said (distilled in training from a semantic
teacher), pitch, envelope and shape. With the first three it is a vocoder, with all of them a
waveform codec. ``docs/codec.md`` has the layout and the reasons.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from codectok.codec.envelope.config import EnvelopeCodecConfig
from codectok.codec.envelope.decoder import EnvelopeDecoder, Parts
from codectok.codec.envelope.encoder import ShapeEncoder
from codectok.codec.envelope.pitch import PitchAnalysis
from codectok.codec.envelope.quantizer import ConditionedVQ
from codectok.codec.envelope.semantic import SemanticEncoder
from codectok.codec.envelope.spectrum import BandSpectrum
from codectok.codec.envelope.transform import EnvelopeTransform
from codectok.codec.model import CodecModel, State
from codectok.codec.rvq import ResidualVQ

ENVELOPE, SHAPE = 2, 3
"""Slices of the latent."""


class EnvelopeAnalysis(NamedTuple):
    """What the encoder measures, of T code frames."""

    semantic: Tensor
    """Latents [B, T, d]."""
    pitch: Tensor
    """Latents [B, T, 4]."""
    envelope: Tensor
    """Half log energies [B, 2 T, bands]."""
    coefficients: Tensor
    """Of the MDCT, [B, 2 T, hop]."""


class EnvelopeCodec(CodecModel):
    """Analysis, encoders, quantizer of four slices, and decoder.

    Code frame t is computed from samples up to ``(t + 1) * frame_size``, and decoding it completes the samples up to
    ``(t + 1) * frame_size - mdct_hop``; so S samples take ``ceil((S + mdct_hop) / frame_size)`` frames.
    """

    block_seconds = 4.0
    decoder_keys = ("decoder_dim", "decoder_depth", "source_bins", "noise_frames")
    quantizer: ConditionedVQ
    config_class = EnvelopeCodecConfig

    def __init__(self, config: EnvelopeCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.spectrum = BandSpectrum(config)
        self.pitch = PitchAnalysis(config)
        self.transform = EnvelopeTransform(config)
        self.semantic = SemanticEncoder(config)
        self.encoder = ShapeEncoder(config)
        self.quantizer = ConditionedVQ(config.part_dims, config.parts, config.codebook_sizes, config.search, ENVELOPE)
        self.decoder = EnvelopeDecoder(config)
        self.sample_rate, self.frame_size = config.sample_rate, config.frame_size
        self.codebook_sizes = tuple(config.codebook_sizes)
        self.latent_dim = config.latent_dim
        self.fixed_codebooks = sum(config.parts[:SHAPE])
        self.learned = slice(sum(config.part_dims[:SHAPE]), None)

    def num_frames(self, num_samples: int) -> int:
        """ceil((num_samples + mdct_hop) / frame_size)."""
        return -(-(num_samples + self.config.mdct_hop) // self.frame_size)

    def residual_quantizers(self) -> list[tuple[ResidualVQ, Callable[[Tensor], Tensor]]]:
        """One a slice."""
        return self.quantizer.views()

    def encode_step(self, x: Tensor, state: State, final: bool) -> tuple[Tensor, State]:
        """Samples [B, S] -> latents [B, T, D]; the end of the stream is followed by silence."""
        if final:
            x = F.pad(x, (0, self.num_frames(x.shape[1]) * self.frame_size - x.shape[1]))
        (semantic, pitch, envelope, coefficients), after = self._analyse(x, state)
        with torch.autocast(x.device.type, enabled=False):
            base = torch.cat([semantic, pitch, self.transform.encode(envelope)], 2)
            decoded = self.transform.decode(self.quantizer.decoded_slice(base, ENVELOPE))
            gains = self.spectrum.gains(decoded)
        before = state["shape"] if state else None
        shape, after["shape"] = self.encoder.step(coefficients, decoded, gains, before)
        return torch.cat([base, shape.float()], 2), after

    def _analyse(self, x: Tensor, state: State) -> tuple[EnvelopeAnalysis, dict[str, State]]:
        """One block of whole code frames of samples [B, S]."""
        before = state or {}
        hop = self.config.mdct_hop
        past = before["past"] if before else x.new_zeros(x.shape[0], 2 * hop)
        joined = torch.cat([past, x], 1)
        semantic, carried = self.semantic.step(joined[:, hop:], before.get("semantic"))
        with torch.autocast(x.device.type, enabled=False):
            coefficients, envelope = self.spectrum.analyse(joined[:, hop:])
            pitch = self.pitch.analyse(joined)
        return EnvelopeAnalysis(semantic.float(), pitch, envelope, coefficients), {
            "past": joined[:, -2 * hop :],
            "semantic": carried,
        }

    def analyse(self, x: Tensor) -> EnvelopeAnalysis:
        """What is measured of samples [B, T * frame_size] that begin a stream, before anything is quantized."""
        return self._analyse(x, None)[0]

    def semantic_latents(self, x: Tensor) -> Tensor:
        """Samples [B, T * frame_size] -> the semantic slice alone, [B, T, d]: for training it first."""
        return self.semantic.step(F.pad(x, (self.config.mdct_hop, 0)), None)[0]

    def decode_step(self, z: Tensor, state: State, final: bool, start: State = None) -> tuple[Tensor, State]:
        """Quantized latents [B, T, D] -> samples [B, S]; ``final`` changes nothing: every frame is complete.

        Args:
            z: as :meth:`dequantize` gives them: without shape codebooks, the shape's slice is 0.
            state: of the last block.
            final: whether this is the last one.
            start: for training, see :meth:`EnvelopeDecoder.step`.
        """
        parts = Parts(*z.split(self.config.part_dims, 2))
        return self.decoder.step(parts, self.transform.decode(parts.envelope), self.spectrum, state, start)
