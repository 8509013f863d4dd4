"""Where codes stand among token ids: plain arithmetic, the same for numpy and torch.

    codebook-major   id = base + (all ids of the codebooks before k) + c        one block a codebook
    code-major       id = base + c * K + k                                      Llama-Mimi: K tokens a code

The two are permutations of each other: read with the wrong one, every code is valid and wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from codectok.errors import CodeRangeError, FormatError

Codes = TypeVar("Codes", Tensor, np.ndarray)
ORDERS = ("codebook-major", "code-major")


@dataclass(frozen=True)
class Layout:
    """The id block of a vocabulary.

    Attributes:
        base: first id of the block.
        sizes: codes of each of the K rows of a code matrix [K, T].
        blocks: which codebook each row takes its ids from; rows of one rate-multiplied stream may share one.
        order: "codebook-major" or "code-major".
        reserved: ids left free behind the codes of each codebook (codebook-major only).
    """

    base: int
    sizes: tuple[int, ...]
    blocks: tuple[int, ...]
    order: str = "codebook-major"
    reserved: int = 0

    @cached_property
    def block_sizes(self) -> tuple[int, ...]:
        """Codes of each codebook that has ids of its own."""
        return tuple(self.sizes[self.blocks.index(b)] for b in range(max(self.blocks) + 1))

    @cached_property
    def step(self) -> int:
        """Ids between two neighbouring codes of one codebook."""
        return 1 if self.order == "codebook-major" else len(self.block_sizes)

    @cached_property
    def block_starts(self) -> tuple[int, ...]:
        """Id of code 0 of each codebook, counted from ``base``."""
        if self.order == "code-major":
            return tuple(range(len(self.block_sizes)))
        return tuple(accumulate((n + self.reserved for n in self.block_sizes[:-1]), initial=0))

    @cached_property
    def span(self) -> int:
        """Ids from ``base`` to the last one, those that carry no code included."""
        if self.order == "code-major":
            return self.step * max(self.block_sizes)
        return sum(self.block_sizes) + self.reserved * len(self.block_sizes)

    @cached_property
    def _first(self) -> np.ndarray:
        """Id of code 0 of each row [K, 1]."""
        return np.array([[self.base + self.block_starts[b]] for b in self.blocks], dtype=np.int64)

    @cached_property
    def _limits(self) -> np.ndarray:
        """Sizes of the rows [K, 1], unsigned: a negative code seen as unsigned is beyond them too."""
        return np.array([[n] for n in self.sizes], dtype=np.uint64)

    def ids(self, codes: Codes, row: int | None = None) -> Codes:
        """Codes [..., K, T] to ids of the same shape; with ``row``, codes [...] of that one row.

        Raises:
            CodeRangeError: a code outside its codebook, or another number of rows.
        """
        if isinstance(codes, Tensor):
            return _as_tensor(self.ids(_as_array(codes), row), codes)
        table, first, limits = self._aligned(codes, row, "codes")
        if (table.view(np.uint64) >= limits).any():
            raise _outside(table, self.sizes, row)
        return (table if self.step == 1 else table * self.step) + first

    def codes(self, ids: Codes, row: int | None = None) -> Codes:
        """Exact inverse of ``ids``.

        Raises:
            CodeRangeError: an id that is no code of its row.
        """
        if isinstance(ids, Tensor):
            return _as_tensor(self.codes(_as_array(ids), row), ids)
        table, first, limits = self._aligned(ids, row, "ids")
        codes, left = np.divmod(table - first, self.step) if self.step > 1 else (table - first, np.zeros(1))
        if left.any() or (codes.view(np.uint64) >= limits).any():
            raise CodeRangeError(
                "these ids are not all audio codes of the codebook in whose row they stand: "
                "read mixed or generated ids with parse()"
            )
        return codes

    def classify(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Codebook and code of each id [N]; both are -1 where the id is no code of this vocabulary."""
        rel = ids.astype(np.int64) - self.base
        inside = (rel >= 0) & (rel < self.span)
        rel = np.where(inside, rel, 0)
        if self.order == "code-major":
            block, code = rel % self.step, rel // self.step
        else:
            starts = np.array(self.block_starts)
            block = np.searchsorted(starts, rel, side="right") - 1
            code = rel - starts[block]
        inside &= code < np.array(self.block_sizes)[block]
        return np.where(inside, block, -1), np.where(inside, code, -1)

    def _aligned(self, values: np.ndarray, row: int | None, noun: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if values.dtype.kind not in "iu":
            raise FormatError(f"{noun} of type {values.dtype} are not integers")
        values = values.astype(np.int64, copy=False)
        rows = len(self.sizes)
        if row is not None:
            if not 0 <= row < rows:
                raise CodeRangeError(f"no codebook {row}: there are {rows}, counted from 0", codebook=row)
            return values, self._first[row], self._limits[row]
        if values.ndim < 2 or values.shape[-2] != rows:
            raise CodeRangeError(f"{noun} of shape {list(values.shape)}: expected [{rows}, T] or [B, {rows}, T]")
        return values, self._first, self._limits


def _as_array(values: Tensor) -> np.ndarray:
    if values.is_floating_point() or values.is_complex():
        raise FormatError(f"{values.dtype} values are not integers")
    return values.detach().cpu().numpy()


def _as_tensor(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(values).to(like.device)


def _outside(codes: np.ndarray, sizes: Sequence[int], row: int | None) -> CodeRangeError:
    limits = np.array(sizes)[:, None] if row is None else np.array(sizes[row])
    at = np.argwhere((codes < 0) | (codes >= limits))[0]
    book = int(at[-2]) if row is None else row
    code, size = int(codes[tuple(at)]), sizes[book]
    return CodeRangeError(
        f"code {code} of codebook {book} at frame {at[-1]} is outside 0..{size - 1}",
        code=code,
        size=size,
        codebook=book,
    )
