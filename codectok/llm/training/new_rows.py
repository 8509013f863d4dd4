"""Train some rows of the token tables and no others.

The new rows become a parameter of their own, and the table is put together from it and the old rows, which are no
parameter any more. A mask on gradients would not do: weight decay and momentum move rows whose gradient is zero.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from codectok.llm.model.resize import tables


class _Rows(nn.Module):
    """New rows [n, D] -> the table [V, D] with them in their places."""

    old: Tensor
    ids: Tensor

    def __init__(self, old: Tensor, ids: Tensor) -> None:
        super().__init__()
        self.register_buffer("old", old, persistent=False)
        self.register_buffer("ids", ids, persistent=False)

    def forward(self, new: Tensor) -> Tensor:
        return self.old.index_copy(0, self.ids, new)

    def right_inverse(self, table: Tensor) -> Tensor:
        return table[self.ids].clone()


def attach_new_rows(model: Any, ids: Tensor) -> list[nn.Parameter]:
    """Make rows ``ids`` of the tables parameters of their own, in place; one for tied tables, else two.

    The old rows leave ``model.parameters()``: no optimizer reaches them. ``weight`` of both modules still reads as the
    whole table. A backward pass still computes the gradient of a whole table, and the table is copied once a pass.

    Args:
        model: a causal language model of transformers.
        ids: int64 [n], all different.

    Raises:
        FormatError: a model whose tables cannot be told (``codectok.llm.model.resize.tables``).
    """
    found = tables(model)
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    for module in (embedding, head):
        old = module.weight.detach()
        # A parameter of its own over the same memory: torch changes its shape in place, which would reach a tied one.
        module.weight = nn.Parameter(old)
        parametrize.register_parametrization(module, "weight", _Rows(old, ids.to(old.device)))
    if found.tied:
        head.parametrizations.weight.original = embedding.parametrizations.weight.original
    new = [module.parametrizations.weight.original for module in (embedding, head)]
    return new[:1] if found.tied else new


@torch.no_grad()
def detach_new_rows(model: Any) -> None:
    """Undo :func:`attach_new_rows`: whole tables, with the new rows as they were trained; tied ones tied again."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = embedding.parametrizations.weight.original is head.parametrizations.weight.original
    whole = [module.weight.detach().clone() for module in ((embedding,) if tied else (embedding, head))]
    for module in (embedding, head):
        parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
    embedding.weight, head.weight = nn.Parameter(whole[0]), nn.Parameter(whole[-1])
    if tied:
        head.weight = embedding.weight


def is_attached(model: Any) -> bool:
    """Whether the rows are apart at the moment."""
    return parametrize.is_parametrized(model.get_input_embeddings(), "weight")
