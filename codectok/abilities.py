"""What some tokenizers can do beside encoding, as Protocols: ask with ``isinstance``.

A tokenizer has an ability by having its methods; :class:`~codectok.Tokenizer` calls those with an underscore, with
checked input only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn


@runtime_checkable
class CanDecode(Protocol):
    """It turns codes into audio. ``can_decode`` says whether this very one does: it may lack its vocoder."""

    def _decode(self, codes: list[Tensor], num_samples: list[int]) -> list[np.ndarray]:
        """Audio float32 [num_samples] of each int64 [K, T]."""


@runtime_checkable
class CanDecodeFeatures(Protocol):
    """It turns continuous features into audio: what quantization costs can be heard."""

    def _decode_features(self, features: Tensor, num_samples: int) -> np.ndarray:
        """Audio float32 [num_samples] of float32 [T, D]."""


@runtime_checkable
class HasCodeVectors(Protocol):
    """Its codes stand for vectors of codebooks."""

    def _code_vectors(self, codebook: int) -> Tensor:
        """Float32 [size, D]: what each code of one codebook adds to the vector that is decoded."""


@runtime_checkable
class HasQuantizedFeatures(Protocol):
    """Its codes say something of the features that it gives for the same audio."""

    def _quantized_features(self, codes: Tensor) -> Tensor:
        """Float32 [T, D] on the CPU: what codes int64 [K, T] of the first codebooks say of the features."""


@runtime_checkable
class ExplainsCodes(Protocol):
    """It can say how far a feature is from every code, so that a tie of two codes can be shown."""

    def code_distances(self, feature: Tensor, codes: Tensor, level: int) -> Tensor:
        """Distances [size] of one feature [D] to the codes of ``level``, after the codes [K] of the levels before."""


@runtime_checkable
class WorksInBlocks(Protocol):
    """It runs long audio block by block with carried state; the codes do not depend on the block."""

    block_frames: int
    """Frames a block; may be set."""
    least_block_frames: int
    """Fewest that a block may have."""


@runtime_checkable
class WorksInWindows(Protocol):
    """It runs long audio in windows that overlap, of which each frame sees its own alone."""

    window_frames: int
    """Frames a window."""


@runtime_checkable
class HasNetwork(Protocol):
    """It is a network, whose values can be counted."""

    @property
    def model(self) -> nn.Module:
        """The network."""


class EncoderFacts(Protocol):
    """What is asked of the speech encoder of a unit tokenizer."""

    @property
    def name_or_path(self) -> str:
        """As it was opened by."""

    layers: tuple[int, ...]
    """In the order of the features."""
    layer_dim: int
    """Width of one layer's features."""
    convention: str
    """What the numbers of the layers mean."""

    @property
    def offset(self) -> int:
        """First sample of the span that frame 0 stands for."""


class StreamFacts(Protocol):
    """What is asked of a stream of units."""

    layer_index: int
    """Which of the encoder's layers it reads."""
    sizes: tuple[int, ...]
    """Of its codebooks."""


@runtime_checkable
class UnitsOfFeatures(Protocol):
    """It makes codes of features that it gave before, so that these need not be computed twice."""

    def units(self, features: Tensor, num_codebooks: int | None = None) -> Tensor:
        """Codes int64 [K, T] of features [T, D]."""


@runtime_checkable
class ReadsEncoder(Protocol):
    """Its codes are units of layers of a speech encoder, stream by stream."""

    @property
    def encoder(self) -> EncoderFacts:
        """What makes the features."""

    @property
    def streams(self) -> Sequence[StreamFacts]:
        """What makes units of them."""


@runtime_checkable
class TrainsEncoder(Protocol):
    """Its features can be learned on: it gives its encoder as a module that gradients go through."""

    def trained(self, rank: int | None) -> nn.Module:
        """Samples [B, S] and their numbers [B] -> features [B, T, D] and [B]; a rank for low-rank updates, else all."""
