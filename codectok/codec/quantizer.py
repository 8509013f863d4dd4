"""What every quantizer is: vectors in, integers out, and a training pass beside them.

Checks, precision, masks and what ranks share are written here once; a quantizer adds its mathematics.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from codectok.codec.ranks import copy_from_first_rank, gather_rows
from codectok.errors import CodeRangeError


@dataclass
class Quantized:
    """What a quantizer's training pass returns. Losses are means over the frames that use the level, on all ranks."""

    quantized: Tensor
    """[B, T, D], straight-through; 0 without gradient where no level is used (depth 0, padding)."""
    codes: Tensor
    """int64 [B, K, T]; -1 at levels that quantizer dropout left out for that item, and at padding."""
    commitment: Tensor
    """[K], what pulls the latents to their codes; 0 for quantizers that have no such loss."""
    codebook_loss: Tensor = None  # type: ignore[assignment]
    """[K], what moves codes that learn by gradient; 0 for those that learn by moving averages, or not at all."""

    def __post_init__(self) -> None:
        if self.codebook_loss is None:
            self.codebook_loss = torch.zeros_like(self.commitment)


@dataclass
class Use:
    """Which frames a training pass may learn from."""

    valid: Tensor
    """bool [B, T], false at padding."""
    levels: Tensor
    """bool [K, B, T]: valid, and the item's depth reaches the level."""

    @property
    def any(self) -> Tensor:
        """Bool [B, T, 1]: some level is used."""
        return self.levels[0].unsqueeze(2)

    def part(self, start: int, stop: int) -> Use:
        """The same of some of the levels."""
        return Use(self.valid, self.levels[start:stop])


class Quantizer(nn.Module, abc.ABC):
    """Vectors [B, T, D] <-> codes int64 [B, K, T], in float32 whatever the input and the autocast.

    Under torch.distributed, ``forward`` of a module in training (or asked to update), ``fit`` and ``revive`` are
    collective: every rank calls them, each with its share of the batch, and they do what one process would do with
    the joined batch. ``encode``, ``decode`` and ``forward`` in evaluation never are.
    """

    codebook_sizes: tuple[int, ...]
    """Codes of each level."""
    tracks_usage: bool = False
    """Whether it knows which codes are dead, and can revive them."""

    def encode(self, z: Tensor, num_codebooks: int | None = None) -> Tensor:
        """[B, T, D] -> int64 [B, K, T]; the first ``num_codebooks`` levels, None for all.

        Raises:
            CodeRangeError: more codebooks than there are, or none.
        """
        count = len(self.codebook_sizes) if num_codebooks is None else num_codebooks
        self._check_count(count)
        with torch.autocast(z.device.type, enabled=False):
            return self._encode(z.float(), count)

    def decode(self, codes: Tensor) -> Tensor:
        """int64 [B, K, T] -> float32 [B, T, D]; any K from 1 to the number of levels.

        Raises:
            CodeRangeError: more codebooks than there are, or none.
        """
        self._check_count(codes.shape[1])
        with torch.autocast(codes.device.type, enabled=False):
            return self._decode(codes)

    def forward(
        self,
        z: Tensor,
        depths: Tensor | None = None,
        update_decay: float | None = None,
        mask: Tensor | None = None,
    ) -> Quantized:
        """Quantize for training.

        Args:
            z: [B, T, D].
            depths: int64 [B], levels to use for each item (quantizer dropout); None for all.
            update_decay: decay of the moving averages; None leaves them as they are. Explicit, not tied to
                ``training``, so that a second pass over the same batch never updates twice.
            mask: bool [B, T], false at padding, which nothing is learned from; None for no padding.
        """
        levels = torch.arange(len(self.codebook_sizes), device=z.device)[:, None, None]
        valid = torch.ones(z.shape[:2], dtype=torch.bool, device=z.device) if mask is None else mask
        use = Use(valid, valid & (levels >= 0 if depths is None else depths[:, None] > levels))
        z = z.float()
        if mask is not None:  # padding may hold anything, NaN too, which a product with 0 would not stop
            z = torch.where(mask[:, :, None], z, 0.0)
        with torch.autocast(z.device.type, enabled=False):
            out = self._quantize(z, use, update_decay)
        out.codes = torch.where(use.levels.transpose(0, 1), out.codes, -1)
        return out

    @torch.no_grad()
    def fit(self, x: Tensor, iterations: int = 10, seed: int = 0, mask: Tensor | None = None) -> None:
        """Start the codebooks on real frames, level after level on what is left over.

        Args:
            x: [N, D] or [B, T, D].
            iterations: of k-means.
            seed: of the random draws.
            mask: bool, shaped like ``x`` without D; false at padding.

        Raises:
            ValueError: fewer frames than codes.
        """
        self._fit(_rows(x, mask), iterations, torch.Generator().manual_seed(seed))
        copy_from_first_rank(self._state())

    @torch.no_grad()
    def revive(
        self,
        z: Tensor,
        threshold: float = 0.1,
        generator: torch.Generator | None = None,
        mask: Tensor | None = None,
    ) -> list[int]:
        """Move codes used less than ``threshold`` of uniform onto frames of a batch; returns how many a level.

        Call it between steps: it changes codebooks in place. Quantizers that know no usage do nothing.

        Args:
            z: [B, T, D].
            threshold: share of uniform usage (Moshi, Defossez et al. 2024).
            generator: of the random draws, on the CPU; that of rank 0 counts.
            mask: bool [B, T], false at padding.
        """
        if not self.tracks_usage:
            return [0] * len(self.codebook_sizes)
        with torch.autocast(z.device.type, enabled=False):  # codebooks and what is kept of them are of full precision
            revived = self._revive(_rows(z, mask).float(), threshold, generator)
        copy_from_first_rank(self._state())
        return revived

    @abc.abstractmethod
    def distances(self, latent: Tensor, codes: Tensor, level: int) -> Tensor:
        """How far one latent [D] is from every code of ``level``, after the codes [K] of the levels before.

        What a choice between two codes was decided by: shows whether two differing codes were a tie.
        """

    @abc.abstractmethod
    def _encode(self, z: Tensor, count: int) -> Tensor: ...

    @abc.abstractmethod
    def _decode(self, codes: Tensor) -> Tensor: ...

    @abc.abstractmethod
    def _quantize(self, z: Tensor, use: Use, decay: float | None) -> Quantized:
        """The training pass in float32; codes of unused levels may be anything."""

    def _fit(self, x: Tensor, iterations: int, generator: torch.Generator) -> None:
        """Fit to the frames [N, D] of all ranks; without codebooks there is nothing to do."""

    def _revive(self, x: Tensor, threshold: float, generator: torch.Generator | None) -> list[int]:
        """Revive from the frames [N, D] of all ranks."""
        raise NotImplementedError

    def _shared(self, decay: float | None) -> bool:
        """Whether a training pass talks to the other ranks."""
        return self.training or decay is not None

    def _state(self) -> list[Tensor]:
        tensors: list[Any] = [*self.buffers(), *self.parameters()]
        return [t for t in tensors if t.is_floating_point()]

    def _check_count(self, count: int) -> None:
        known = len(self.codebook_sizes)
        if not 1 <= count <= known:
            raise CodeRangeError(f"{count} codebooks asked for, this quantizer has {known}: choose 1 to {known}")


def straight_through(value: Tensor, x: Tensor) -> Tensor:
    """Exactly ``value``, with the gradient of ``x`` (``x + (value - x)`` would round)."""
    return value.detach() + (x - x.detach())


def mask_of_lengths(lengths: Tensor, frames: int) -> Tensor:
    """Lengths int64 [B] in frames -> bool [B, frames], true where an item has a frame."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def _rows(x: Tensor, mask: Tensor | None) -> Tensor:
    """The frames of all ranks, padding left out, float32 [N, D]."""
    rows = x.detach().float().reshape(-1, x.shape[-1])
    return gather_rows(rows if mask is None else rows[mask.flatten()])
