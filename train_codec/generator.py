"""The codec as one differentiable pass, from samples to samples: the module that is trained and wrapped for DDP."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codectok.codec.envelope import EnvelopeCodec
from codectok.codec.harmonic import HarmonicCodec
from codectok.codec.model import CodecModel
from codectok.codec.quantizer import straight_through
from codectok.errors import CodectokError, FormatError
from train_codec.ceiling import ceiling_loss
from train_codec.distill import DistillationLoss
from train_codec.noise import NoiseChannel, audible
from train_codec.pitch import pitch_loss, pitch_targets


@dataclass
class GeneratorOutput:
    """What one pass gives; B items of T frames."""

    predicted: Tensor
    """float32 [B, S'], S' at most the samples given."""
    codes: Tensor | None
    """int64 [B, K, T], -1 where dropped; None while the codebooks are not in use."""
    commitment: Tensor
    """Scalar: sum over the levels."""
    codebook: Tensor
    """Scalar: sum over the levels, of codebooks that learn by gradient."""
    distillation: Tensor
    """Scalar; 0 without a teacher."""
    pitch: Tensor
    """Scalar: error of the pitch that drives the decoder; 0 unless asked for, and for codecs without one."""
    ceiling: Tensor
    """Scalar: quantile loss of the decoder's ceilings; 0 for codecs without."""
    rate: Tensor
    """Scalar: penalty of the noise channel's rate; 0 without."""
    revived: list[int]


class Generator(nn.Module):
    """A codec and, with a teacher, the map from its first codebook to the teacher's features.

    Args:
        codec: any codec that can be trained.
        teacher_dim: width of the teacher's features; 0 for no teacher.
        distill_kind: see :class:`train_codec.distill.DistillationLoss`.
        with_pitch: compute the error of the pitch, for codecs that have one.
        noise: bits a frame through a noise channel, and the first weight of the penalty; None for no channel.

    Raises:
        FormatError: a teacher for a codec whose first codebook is not one of vectors (FSQ and the like).
    """

    def __init__(
        self,
        codec: CodecModel,
        teacher_dim: int = 0,
        distill_kind: str = "cosine",
        with_pitch: bool = False,
        noise: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        self.noise: NoiseChannel | None = None
        if noise is not None:
            self.noise = NoiseChannel(len(range(codec.latent_dim)[codec.learned]), *noise)
        self.codec, self.with_pitch = codec, with_pitch
        self.distill: DistillationLoss | None = None
        if teacher_dim:
            quantizers = codec.residual_quantizers()
            if not quantizers:
                raise FormatError("the first codebook of this codec cannot be distilled: leave teacher empty")
            width = quantizers[0][0].levels[0].vectors.shape[1]
            self.distill = DistillationLoss(width, teacher_dim, distill_kind)

    def forward(
        self,
        audio: Tensor,
        depths: Tensor | None,
        codebook_decay: float | None,
        start: Tensor | None = None,
        targets: tuple[Tensor, Tensor] | None = None,
        revive: tuple[float, torch.Generator] | None = None,
        noise: Tensor | None = None,
        first_alone: bool = False,
    ) -> GeneratorOutput:
        """Audio float32 [B, S] through the codec.

        Args:
            audio: S a multiple of the codec's frame.
            depths: int64 [B], codebooks of each item; None to leave the latents unquantized (with ``noise``: to use
                all of them).
            codebook_decay: of the moving averages; None leaves codebooks as they are.
            start: float [B, 2] in [0, 1), where a codec with an excitation of its own starts it, so that the network
                does not learn one particular noise by heart.
            targets: the teacher's features [B, T, D] and mask bool [B, T].
            revive: threshold and generator, to revive dead codes first.
            noise: of variance 1, [B, T, D] for the learned latents: the noise channel in place of their codebooks.
            first_alone: nothing but the branch of the first codebook, without decoding.

        Raises:
            FormatError: ``first_alone`` of a codec that has no such branch, or without a teacher.
        """
        if first_alone:
            return self._first_alone(audio, targets)
        z = self.codec.encode_step(audio, None, False)[0].float()
        zero = z.new_zeros(())
        codes, commitment, codebook, distillation, revived = None, zero, zero, zero, []
        rate = zero
        if noise is not None:
            quantized, rate = self._through_noise(z, noise, depths, audio)
        elif depths is not None:
            quantizer = self.codec.quantizer
            if revive is not None:
                revived = quantizer.revive(z.detach(), *revive)
            output = quantizer(z, depths, codebook_decay)
            codes, commitment, codebook = output.codes, output.commitment.sum(), output.codebook_loss.sum()
            quantized = output.quantized
        else:
            quantized = z
        if self.distill is not None:
            if targets is None:
                raise CodectokError("a distilled codec needs the teacher's targets")
            first = self._first(z, codes)
            if first.requires_grad or not self.training:
                distillation = self.distill(first, *targets)
        predicted, pitch, ceiling = self._decode(quantized, audio, start)
        predicted = predicted[:, : audio.shape[1]].float()
        return GeneratorOutput(predicted, codes, commitment, codebook, distillation, pitch, ceiling, rate, revived)

    def _first_alone(self, audio: Tensor, targets: tuple[Tensor, Tensor] | None) -> GeneratorOutput:
        if self.distill is None or targets is None or not isinstance(self.codec, EnvelopeCodec):
            raise FormatError("first_steps train a semantic branch by a teacher: set teacher, and codec: envelope")
        z = self.codec.semantic_latents(audio)
        zero = z.new_zeros(())
        return GeneratorOutput(audio[:, :0], None, zero, zero, self.distill(z.float(), *targets), zero, zero, zero, [])

    def _through_noise(self, z: Tensor, noise: Tensor, depths: Tensor | None, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Latents [B, T, D] with the fixed codebooks in use and the others' noise, and the penalty of their rate.

        Items whose depth does not reach beyond the fixed codebooks have 0 there, as with codes.
        """
        codec, channel = self.codec, self.noise
        assert channel is not None
        reached = torch.ones(len(z), dtype=torch.bool, device=z.device)
        quantized = z
        if codec.fixed_codebooks:
            with torch.no_grad():
                quantized = codec.dequantize(codec.quantize(z, codec.fixed_codebooks))
            if depths is not None:
                reached = depths > codec.fixed_codebooks
        counted = audible(audio, z.shape[1]) & reached[:, None]
        rate = channel(z[..., codec.learned], counted)
        noisy = torch.where(reached[:, None, None], z[..., codec.learned] + noise, 0.0)
        before = quantized[..., : codec.learned.start or 0]
        return torch.cat([before, noisy], 2), rate

    def _decode(self, quantized: Tensor, audio: Tensor, start: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        codec, zero = self.codec, quantized.new_zeros(())
        if not isinstance(codec, (HarmonicCodec, EnvelopeCodec)):
            return codec.decode_step(quantized, None, True)[0], zero, zero
        state = None
        if start is not None:
            at = (start[:, 1:] * codec.config.noise_frames).long()
            state = {"phase": start[:, :1].double(), "at": at}
        if isinstance(codec, EnvelopeCodec):
            return codec.decode_step(quantized, None, True, state)[0], zero, zero
        predicted, ceilings, _ = codec.decoder.outputs(quantized, None, state)
        ceiling = zero if ceilings is None else ceiling_loss(codec, ceilings, audio)
        if not self.with_pitch:
            return predicted, zero, ceiling
        return predicted, pitch_loss(codec.decoder.pitch(quantized), pitch_targets(codec, audio)), ceiling

    def _first(self, z: Tensor, codes: Tensor | None) -> Tensor:
        """Vectors of the first codebook [B, T, d], straight-through: before any other codebook is added."""
        vq, project = self.codec.residual_quantizers()[0]
        with torch.autocast(z.device.type, enabled=False):
            x = project(z)
            if codes is None:
                return x
            chosen = F.embedding(codes[:, 0].clamp_min(0), vq.levels[0].vectors)
            return straight_through(chosen, x)
