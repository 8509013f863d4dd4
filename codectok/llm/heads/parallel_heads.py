"""Parallel heads: the streams of a step independently, given the steps before it (MusicGen, SLAM-Omni)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codectok.llm.heads.token_rows import TokenRows
from codectok.llm.patterns.stream_plan import StreamPlan

Pick = Callable[[Tensor], Tensor]
"""``pick(logits [N, V]) -> ids [N]``."""


@dataclass(frozen=True, eq=False)
class Said:
    """What a batch says, and from what: the targets of heads.

    Attributes:
        hidden: states [B, N, D] of the language model; position i has read everything up to i.
        steps: int64 [B, S, N], the step that stands at a position; -1 outside.
        learned: bool [B, S, N], the cells with a code or an end.
        codes: int64 [B, K, T] of all codebooks, -1 after the end.
        starts: int64 [B], position of the first step.
        weights: one a codebook, float32 [K].
    """

    hidden: Tensor
    steps: Tensor
    learned: Tensor
    codes: Tensor
    starts: Tensor
    weights: Tensor


class ParallelHeads(nn.Module):
    """The sum of a step's embeddings in, the logits of each stream out.

    Where a step has several frames, each place in the group has a matrix of its own on both sides, which begins as the
    identity: without, all frames of a group would be said alike.

    Args:
        rows: of the streams.
        plan: of the streams.
        dim: D of the language model.
    """

    def __init__(self, rows: TokenRows, plan: StreamPlan, dim: int) -> None:
        super().__init__()
        self.rows, self.plan = rows, plan
        if plan.group > 1:
            self.inward = nn.ModuleList(_near_identity(dim) for _ in range(plan.group))
            self.outward = nn.ModuleList(_near_identity(dim) for _ in range(plan.group))

    def stream_weights(self, weights: Tensor) -> Tensor:
        """Loss weight [S] of each stream, by those of the codebooks [K]; 1 for text."""
        return torch.cat([weights, weights.new_ones(1)])[list(self.plan.codebook_of)]

    def embed(self, embedding: nn.Module, steps: Tensor) -> Tensor:
        """Steps [B, S, N] -> their sums [B, N, D]."""
        total = 0
        for s, (row, place) in enumerate(zip(self.plan.row_of, self.plan.place_of, strict=True)):
            vectors = embedding(self.rows.ids(row, steps[:, s]))
            total = total + (self.inward[place](vectors) if self.plan.group > 1 else vectors)
        assert isinstance(total, Tensor)
        return total

    def logits(self, head: Tensor, stream: int, state: Tensor) -> Tensor:
        """Logits [..., W] of a stream by states [..., D] of the language model."""
        place = self.plan.place_of[stream]
        state = self.outward[place](state) if self.plan.group > 1 else state
        return self.rows.logits(head, self.plan.row_of[stream], state)

    def loss(self, embedding: nn.Module, head: Tensor, said: Said) -> Tensor:
        """Cross-entropy in nats, the sum over all that is learned, by weight."""
        weights = self.stream_weights(said.weights)
        total = said.hidden.new_zeros((), dtype=torch.float32)
        for s in range(len(self.plan.row_of)):
            at = said.learned[:, s, 1:]
            logits = self.logits(head, s, said.hidden[:, :-1][at])
            total = total + weights[s] * cross_entropy(logits, said.steps[:, s, 1:][at])
        return total

    def draw(self, embedding: nn.Module, head: Tensor, state: Tensor, allow: Tensor, pick: Pick) -> Tensor:
        """One step [B, S] from its state [B, D], each stream among the ids that are allowed, bool [B, S, V]."""
        streams = range(len(self.plan.row_of))
        return torch.stack([pick(allowed_only(self.logits(head, s, state), allow[:, s])) for s in streams], 1)

    def complete(self, embedding: nn.Module, head: Tensor, states: Tensor, codes: Tensor, pick: Pick) -> Tensor:
        """Codes [K, T] of all codebooks, from those that were said step by step, and the states [T, D] after them."""
        return codes


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The sum, in float32; 0 of nothing."""
    return F.cross_entropy(logits.float(), targets, reduction="sum")


def allowed_only(logits: Tensor, allow: Tensor) -> Tensor:
    """Logits [N, W] with minus infinity for every id that is not allowed, bool [N, V]."""
    return logits.masked_fill(~allow[:, : logits.shape[-1]], float("-inf"))


def _near_identity(dim: int) -> nn.Linear:
    made = nn.Linear(dim, dim, bias=False)
    with torch.no_grad():
        made.weight.mul_(0.1).add_(torch.eye(dim))
    return made
