"""What a causal neural codec implements; :mod:`codectok.codec.tokenizer` makes a Tokenizer of it."""

from __future__ import annotations

import abc
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from codectok.codec.quantizer import Quantizer
from codectok.codec.rvq import ResidualVQ

State = Any
"""Explicit streaming state: a tree of dicts, lists and tuples of tensors with the batch first. None starts a stream."""


class CodecModel(nn.Module, abc.ABC):
    """A causal codec run block by block: every method takes the state left by the last block and returns the next."""

    config_class: ClassVar[type]
    """The dataclass of its ``config``, whose fields stand in ``config.json``."""
    config: Any
    sample_rate: int
    """Hz."""
    frame_size: int
    """Samples a code frame."""
    codebook_sizes: tuple[int, ...]
    quantizer: Quantizer
    """Between ``encode_step`` and ``decode_step``."""
    latent_dim: int
    """D of the latents."""
    block_seconds: float = 1.0
    """Audio that is fastest to run at a time on a CPU: activations stay in cache, matrices are not too small."""
    first_frames: int = 1
    """Code frames that the first block must hold (unless the stream ends before): reflective padding needs them."""
    can_decode: bool = True
    apart: tuple[str, ...] = ()
    """Submodules that are stored in folders of their own, and are no part of the fingerprint."""
    decoder_parts: tuple[str, ...] = ("decoder",)
    """Submodules that the decoder alone consists of: they do not count for the fingerprint of the codes."""
    decoder_keys: tuple[str, ...] = ()
    """Keys of the config that the decoder alone reads; others count."""
    fixed_codebooks: int = 0
    """The first so many are fitted once, before the networks are trained (:mod:`train_codec.begin`)."""
    learned: slice = slice(None)
    """The other codebooks' part of the latents: what encoder and decoder learn together."""
    decoder_waits: bool = False
    """Whether the decoder holds frames back that only a final step, even one without codes, gives."""

    @abc.abstractmethod
    def num_frames(self, num_samples: int) -> int:
        """Code frames of that many samples: what the encoder gives for them, tail included."""

    @abc.abstractmethod
    def residual_quantizers(self) -> list[tuple[ResidualVQ, Callable[[Tensor], Tensor]]]:
        """The residual quantizers inside, each with the map from latents [B, T, D] to what it quantizes."""

    @abc.abstractmethod
    def encode_step(self, x: Tensor, state: State, final: bool) -> tuple[Tensor, State]:
        """Samples float32 [B, S] -> latents [B, T, D].

        S is a multiple of ``frame_size`` (at least ``first_frames`` of them in the first block) unless ``final``, the
        last block of the stream, which may have any S >= 0 and gives the tail's frames too.
        """

    def quantize(self, latents: Tensor, num_codebooks: int) -> Tensor:
        """Latents [B, T, D] -> codes int64 [B, K, T]."""
        return self.quantizer.encode(latents, num_codebooks)

    def decoded_codebooks(self, num_codebooks: int) -> int:
        """How many of the first ``num_codebooks`` codebooks reach the decoder."""
        return num_codebooks

    def dequantize(self, codes: Tensor) -> Tensor:
        """Codes [B, K, T] -> quantized latents [B, T, D]."""
        return self.quantizer.decode(codes)

    @abc.abstractmethod
    def decode_step(self, z: Tensor, state: State, final: bool) -> tuple[Tensor, State]:
        """Quantized latents [B, T, D] -> the samples [B, S] they complete.

        T is at least ``first_frames`` in the first block, unless ``final``. All blocks together give at least the
        samples that made ``num_frames`` frames; the caller trims.
        """

    def save_parts(self, folder: Path, dtype: Any) -> None:
        """Write what is ``apart`` into a model folder."""

    def open_parts(self, folder: Path) -> None:
        """Open what is ``apart`` from a model folder, where it has any."""
