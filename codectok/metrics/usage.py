"""How much of its codebooks a tokenizer uses."""

from __future__ import annotations

import torch


def code_usage(codes: torch.Tensor) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Of codes [K, T]: the number of distinct codes, and the entropy of the code counts in bits, of each level.

    Examples:
        >>> from codectok.metrics import code_usage
        >>> code_usage(torch.tensor([[0, 0, 1, 1], [2, 2, 2, 2]]))
        ((2, 1), (1.0, 0.0))
    """
    used, bits = [], []
    for level in codes:
        counts = torch.unique(level, return_counts=True)[1].double()
        share = counts / counts.sum()
        used.append(len(counts))
        bits.append(max(0.0, float(-(share * share.log2()).sum())))
    return tuple(used), tuple(bits)
