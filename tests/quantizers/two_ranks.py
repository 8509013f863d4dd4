"""One training episode of every quantizer, for one process or several: what each run leaves is compared."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from codectok.codec.gumbel import GumbelVQ
from codectok.codec.quantizer import Quantizer
from codectok.codec.ranks import world_size
from tests.quantizers.subjects import DIM, MAKERS, SIZES, codebooks, latents, state

BATCH = 4
LENGTHS = [40, 13, 2, 40]
DEPTHS = [4, 1, 3, 2]


class Quiet(GumbelVQ):
    """Without the noise, which each process draws for itself."""

    def noise(self, logits: Tensor) -> Tensor:
        return torch.zeros_like(logits)


def make(name: str) -> Quantizer:
    if name != "gumbel":
        return MAKERS[name]()
    torch.manual_seed(0)
    return Quiet(DIM, SIZES)


def episode(name: str, rank: int) -> dict[str, Any]:
    """Fit, train with dropout and padding, revive, train again; this rank's share of the batch."""
    ranks = world_size()
    share = slice(rank * BATCH // ranks, (rank + 1) * BATCH // ranks)
    mask = (torch.arange(40) < torch.tensor(LENGTHS)[:, None])[share]
    depths = torch.tensor(DEPTHS)[share]
    z = (50 + latents(BATCH))[share].requires_grad_()
    vq: Any = make(name)
    torch.manual_seed(rank)  # ranks do not share their random state
    vq.fit(z, mask=mask, seed=rank)
    fit = state(vq)
    first = vq(z, depths, 0.9, mask)
    loss = first.commitment.sum() + first.codebook_loss.sum()
    if loss.requires_grad:
        loss.backward()
    gradients = {k: p.grad for k, p in vq.named_parameters() if p.grad is not None}
    for g in gradients.values():
        if ranks > 1:  # as DDP does
            dist.all_reduce(g)
            g /= ranks
    if vq.tracks_usage:
        for level in codebooks(vq):
            level.counts[1] = 0
    revived = vq.revive(z, 0.1, torch.Generator().manual_seed(rank), mask)
    again = vq(z.detach(), depths, 0.9, mask)
    vq.eval()
    if rank == 0:  # no collective: the other rank never comes here
        vq(z.detach(), depths)
        vq.decode(vq.encode(z.detach()))
    return {
        "fit": fit,
        "state": state(vq),
        "codes": again.codes,
        "losses": [first.commitment.detach(), first.codebook_loss.detach(), again.commitment.detach()],
        "z gradient": None if z.grad is None else z.grad / ranks,
        "gradients": gradients,
        "revived": revived,
    }


def main(rank: int, ranks: int, folder: str) -> None:
    """One process of several; writes what its episodes leave."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=ranks)
    torch.save({name: episode(name, rank) for name in MAKERS}, Path(folder) / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)  # gloo's threads may outlive the interpreter, which aborts then


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
