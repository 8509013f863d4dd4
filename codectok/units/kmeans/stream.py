"""Stream: codes of one layer's features. What every quantizer of units keeps, and its checks, written once."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from codectok.errors import CodectokError, CodeRangeError

BLOCK = 512
"""Frames worked on at a time on a CPU: they and their products stay in cache."""
BLOCK_GPU = 1 << 16


class Stream(abc.ABC):
    """Features [T, D] of one layer <-> codes int64 [K, T].

    Subclasses implement :meth:`_encode` and :meth:`_vectors`, which see checked input only.
    """

    kind: str
    """``type`` in a model folder's config."""
    layer_index: int
    """Which of the encoder's layers it reads, counted in the order that the encoder was opened with."""
    dim: int
    """D."""
    sizes: tuple[int, ...]
    """Codes in each of the K codebooks."""
    device = torch.device("cpu")

    @torch.no_grad()
    def encode(self, features: Tensor, num_codebooks: int | None = None) -> Tensor:
        """Codes of the first codebooks (None: all), [T, D] of any float type -> int64 [K, T] on the CPU.

        Computed in float32 whatever the input and the autocast, block by block: memory beside the codes does not
        grow with T.

        Raises:
            CodectokError: another width than D, or features that are NaN or infinite.
        """
        if features.dim() != 2 or features.shape[1] != self.dim or not features.is_floating_point():
            raise CodectokError(
                f"features of shape {list(features.shape)} and type {features.dtype}: give floats [T, {self.dim}]"
            )
        count = len(self.sizes) if num_codebooks is None else num_codebooks
        with torch.autocast(self.device.type, enabled=False):
            codes, scores = self._encode(features, count)
        finite = scores.isfinite()
        if not bool(finite.all()):
            at = int((~finite).nonzero()[0])
            raise CodectokError(f"the features of frame {at} are NaN or infinite: run the encoder in float32")
        return codes.cpu()

    @torch.no_grad()
    def vectors(self, codes: Tensor) -> Tensor:
        """What codes int64 [K, T] of the first codebooks stand for, float32 [T, D] on the CPU.

        Raises:
            CodeRangeError: a code outside its codebook, or more codebooks than there are.
        """
        if codes.dim() != 2 or not 1 <= len(codes) <= len(self.sizes):
            raise CodeRangeError(f"codes of shape {list(codes.shape)}: give [K, T] with K from 1 to {len(self.sizes)}")
        for k, (row, size) in enumerate(zip(codes, self.sizes, strict=False)):
            if row.numel() and not 0 <= int(row.min()) <= int(row.max()) < size:
                raise CodeRangeError(
                    f"codes of codebook {k} reach outside 0..{size - 1}: give codes of this stream",
                    size=size,
                    codebook=k,
                )
        return self._vectors(codes.to(self.device)).cpu()

    def config(self) -> dict[str, Any]:
        """All but the tensors."""
        return {"type": self.kind, "layer_index": self.layer_index, "sizes": list(self.sizes)}

    @abc.abstractmethod
    def _encode(self, features: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Codes [count, T], and for each frame a number [T] that is not finite where its features are not."""

    @abc.abstractmethod
    def _vectors(self, codes: Tensor) -> Tensor: ...

    @abc.abstractmethod
    def to(self, device: str | torch.device) -> Stream:
        """Compute on ``device`` from now on."""

    @abc.abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """As a model folder stores them and the fingerprint counts them: float32 on the CPU."""

    @classmethod
    @abc.abstractmethod
    def build(cls, layer_index: int, sizes: Sequence[int], tensors: Mapping[str, Tensor]) -> Stream:
        """From what :meth:`config` and :meth:`tensors` gave.

        Raises:
            KeyError: a tensor is missing.
            CodectokError: shapes that do not fit together, or values that are not finite.
        """


def stored(tensor: Tensor) -> Tensor:
    """A copy as it is kept and hashed: float32 on the CPU, and not made under inference mode."""
    with torch.inference_mode(False):
        return tensor.detach().to("cpu", torch.float32).contiguous().clone()


def check_standardisation(dim: int, mean: Tensor | None, scale: Tensor | None) -> None:
    """Raise CodectokError unless both, where given, are [D] and finite, and the scale above 0."""
    for name, t in (("mean", mean), ("scale", scale)):
        if t is not None and (list(t.shape) != [dim] or not bool(t.isfinite().all())):
            raise CodectokError(f"{name} of shape {list(t.shape)}: give {dim} finite values, one for each dimension")
    if scale is not None and not bool((scale > 0).all()):
        raise CodectokError("scale has values of 0 or less: give standard deviations, and 1 for constant dimensions")
