"""The unit codec: a causal student of a speech model's encoder, k-means units, and a vocoder beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from codectok.codec.model import CodecModel, State
from codectok.codec.rvq import ResidualVQ
from codectok.errors import CodectokError
from codectok.units.student.config import UnitCodecConfig
from codectok.units.student.encoder import UnitEncoder
from codectok.units.vocoder.folder import open_vocoder, save_vocoder
from codectok.units.vocoder.unit_vocoder import UnitVocoder

VOCODER = "vocoder"
"""Subfolder of a model folder that holds the vocoder."""


class UnitCodec(CodecModel):
    """Encoder and codebook in the model folder, the vocoder (if there is one) in its subfolder ``vocoder``.

    Code frame t stands for the samples from ``t * frame_size - frame_size / 2`` on, as the frames of the Whisper
    encoder do, and is computed from those up to ``(t + 1 + ahead) * frame_size``; the end of the stream is followed by
    silence. S samples take ``ceil(S / frame_size)`` frames.

    Latents live in the space of the teacher's principal components; the codebook holds k-means centroids there.
    """

    config_class = UnitCodecConfig
    block_seconds = 4.0
    apart = (VOCODER,)
    decoder_waits = True
    quantizer: ResidualVQ

    def __init__(self, config: UnitCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = UnitEncoder(config)
        self.quantizer = ResidualVQ(config.latent_dim, [config.units])
        self.vocoder: UnitVocoder | None = None
        self.sample_rate, self.frame_size = config.sample_rate, config.frame_size
        self.codebook_sizes = (config.units,)
        self.latent_dim = config.latent_dim

    @property
    def can_decode(self) -> bool:  # type: ignore[override]
        """Whether there is a vocoder."""
        return self.vocoder is not None

    def num_frames(self, num_samples: int) -> int:
        """ceil(num_samples / frame_size)."""
        return -(-num_samples // self.frame_size)

    def residual_quantizers(self) -> list[tuple[ResidualVQ, Callable[[Tensor], Tensor]]]:
        """The one there is, on the latents as they are."""
        return [(self.quantizer, lambda z: z)]

    def encode_step(self, x: Tensor, state: State, final: bool) -> tuple[Tensor, State]:
        """Samples [B, S] -> latents [B, T, D]; the first ``ahead`` frames come that much later."""
        before = state or {}
        if final:
            x = F.pad(x, (0, -x.shape[1] % self.frame_size + self.config.ahead * self.frame_size))
        z, after = self.encoder.step(x, before.get("encoder"))
        # Outputs that still belong to frames before the first; the same for every stream of a batch.
        early = before.get("early", torch.full((x.shape[0], 1), self.config.ahead))
        dropped = min(int(early[0]), z.shape[1])
        return z[:, dropped:], {"encoder": after, "early": early - dropped}

    def decode_step(self, z: Tensor, state: State, final: bool) -> tuple[Tensor, State]:
        """Quantized latents [B, T, D] -> samples [B, S], by the vocoder, which knows units by their numbers.

        Looking these up again is exact: the latents are centroids.

        Raises:
            CodectokError: there is no vocoder.
        """
        if self.vocoder is None:
            raise CodectokError("these units have no vocoder: they can be encoded, not decoded (train unit-vocoder)")
        return self.vocoder.step(self.quantizer.encode(z), state, final)

    def save_parts(self, folder: Path, dtype: Any) -> None:
        """The vocoder, into its subfolder."""
        if self.vocoder is not None:
            save_vocoder(self.vocoder, folder / VOCODER, dtype)

    def open_parts(self, folder: Path) -> None:
        """The vocoder, if it has a subfolder.

        Raises:
            FormatError: it is damaged, or another tokenizer's.
        """
        if (folder / VOCODER).is_dir():
            self.vocoder = open_vocoder(folder / VOCODER, self.codebook_sizes, self.sample_rate)
