"""K codebooks as one stream of units, for the formats that hold no more.

Frame by frame: ``c0[0], c1[0] + n0, c2[0] + n0 + n1, c0[1], ...``. Codebook k begins at unit ``n0 + ... + n(k-1)``, so
a unit names its codebook, and the reader undoes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.store.info import StoreInfo
from codectok.store.names import SINGLE_STREAM

MAX_CODES = 2**31


def flatten(codes: Tensor, codebook_sizes: Sequence[int]) -> Tensor:
    """Codes [K, T] -> units [K * T], frame by frame, each codebook in its own range of units."""
    return (codes + _starts(codebook_sizes)).t().reshape(-1)


def unflatten(units: Tensor, codebook_sizes: Sequence[int]) -> Tensor:
    """The inverse of ``flatten``: units [K * T] -> codes [K, T].

    Raises:
        FormatError: a number of units that is no multiple of K.
    """
    k = len(codebook_sizes)
    if len(units) % k:
        raise FormatError(f"{len(units)} units do not divide into {k} codebooks: make the store again")
    return units.reshape(-1, k).t() - _starts(codebook_sizes)


def need_one_stream(format: str, info: StoreInfo) -> None:
    """Refuse more than one codebook, unless flattened.

    Raises:
        FormatError: with what to do.
    """
    k = len(info.codebook_sizes)
    if k > 1 and not info.options.flatten:
        raise FormatError(
            f"{format} holds one stream of units and there are {k} codebooks: use --codebooks 1 for the first only, "
            "--flatten to interleave them, or a format that holds them side by side (--format parquet)"
        )


def need_side_by_side(format: str, info: StoreInfo) -> None:
    """Refuse ``flatten``, for formats that hold all codebooks as they are, and codes over 32 bits.

    Raises:
        FormatError: with what to do.
    """
    if info.options.flatten:
        raise FormatError(
            f"{format} holds all codebooks side by side: leave out --flatten, or use --format {SINGLE_STREAM[0]}"
        )
    if max(info.codebook_sizes) > MAX_CODES:
        raise FormatError(f"{format} stores hold codes below 2^31: use a smaller codebook, or --format jsonl")


def _starts(codebook_sizes: Sequence[int]) -> Tensor:
    return torch.tensor(list(accumulate(codebook_sizes, initial=0))[:-1])[:, None]
