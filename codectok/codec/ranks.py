"""The few collectives that quantizers need, each a plain function of its tensors on a single process.

Whether several processes train together is asked at every call: a cached answer is wrong for ever if it was given
before torch.distributed started. Every rank must call the same ones in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Processes that train together; 1 without torch.distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_ranks(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Sums of tensors of one dtype over all ranks, in one collective."""
    if world_size() == 1 or not tensors:
        return list(tensors)
    flat = torch.cat([t.flatten() for t in tensors])
    dist.all_reduce(flat)
    return [part.view_as(t) for part, t in zip(flat.split([t.numel() for t in tensors]), tensors, strict=True)]


def stack_over_ranks(vector: Tensor) -> Tensor:
    """One vector [L] of every rank -> [ranks, L].

    The gradient flows into the own row, times the number of ranks: DDP averages gradients over ranks, so that a loss
    computed from all rows on every rank gets the gradient of the joined batch.
    """
    ranks = world_size()
    if ranks == 1:
        return vector[None]
    rows = [torch.empty_like(vector) for _ in range(ranks)]
    dist.all_gather(rows, vector.detach().contiguous())
    rows[dist.get_rank()] = vector.detach() + ranks * (vector - vector.detach())
    return torch.stack(rows)


def gather_rows(x: Tensor) -> Tensor:
    """Rows [N, D] of all ranks, whatever N each has, in the order of the ranks."""
    ranks = world_size()
    if ranks == 1:
        return x
    counts = [torch.zeros(1, dtype=torch.int64, device=x.device) for _ in range(ranks)]
    dist.all_gather(counts, torch.tensor([len(x)], device=x.device))
    sizes = [int(c) for c in counts]
    padded = x.new_zeros(max(sizes), x.shape[1])
    padded[: len(x)] = x
    parts = [torch.empty_like(padded) for _ in range(ranks)]
    dist.all_gather(parts, padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


@torch.no_grad()
def copy_from_first_rank(tensors: Sequence[Tensor]) -> None:
    """Overwrite tensors of one dtype by those of rank 0, in one collective."""
    if world_size() == 1 or not tensors:
        return
    flat = torch.cat([t.detach().flatten() for t in tensors])
    dist.broadcast(flat, 0)
    for part, t in zip(flat.split([t.numel() for t in tensors]), tensors, strict=True):
        t.copy_(part.view_as(t))
