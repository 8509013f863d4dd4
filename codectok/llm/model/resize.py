"""The two tables of a language model that have a row for each token, and how they grow: never shrink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from codectok.errors import FormatError


@dataclass(frozen=True, eq=False)
class Tables:
    """The weights that have a row for each token id.

    Attributes:
        input: embedding [V, D].
        head: output projection [V, D]; the very same parameter as ``input`` where they are tied.
    """

    input: torch.nn.Parameter
    head: torch.nn.Parameter

    @property
    def tied(self) -> bool:
        """One table serves both ends."""
        return self.input is self.head

    @property
    def rows(self) -> int:
        """V."""
        return len(self.input)

    def named(self) -> dict[str, torch.nn.Parameter]:
        """``input`` and, where it is another, ``head``."""
        return {"input": self.input} if self.tied else {"input": self.input, "head": self.head}


def tables(model: Any) -> Tables:
    """The token tables of a causal language model of transformers.

    Raises:
        FormatError: a model without them, with a bias on the head (which no server loads), or of two lengths.
    """
    embedding: Any = model.get_input_embeddings()
    head: Any = model.get_output_embeddings()
    if not isinstance(embedding, torch.nn.Embedding) or head is None:
        raise FormatError(f"{type(model).__name__} has no token embedding and head: give a causal language model")
    if getattr(head, "bias", None) is not None:
        raise FormatError(f"the head of this {type(model).__name__} has a bias: servers refuse it, give one without")
    weights: list[Any] = [embedding.weight, head.weight]
    found = Tables(*weights)
    if found.input.shape != found.head.shape:
        raise FormatError(
            f"the embedding is {list(found.input.shape)}, the head {list(found.head.shape)}: give a model whose "
            "two tables have the same shape"
        )
    return found


def rows_needed(current: int, needed: int, multiple: int = 1) -> int:
    """Rows of the grown tables: the larger of the two, rounded up to a multiple.

    Padded tables (Qwen 2.5 has 151936 rows for 151665 tokens) stay as they are where the new tokens fit.
    """
    return -(-max(current, needed) // multiple) * multiple


def grow(model: Any, rows: int) -> Tables:
    """Give both tables ``rows`` rows, in place; rows that existed keep their bits, new ones are not meaningful yet.

    Tied tables stay tied and untied ones apart, and the configuration says so and names the new number.

    Raises:
        FormatError: fewer rows than there are.
    """
    before = tables(model)
    if rows < before.rows:
        raise FormatError(f"the model has {before.rows} rows, {rows} asked for: rows are never taken away")
    # Where the file's tables differ, transformers leaves a model untied that its configuration calls tied.
    for config in {id(c): c for c in (model.config, model.config.get_text_config())}.values():
        config.tie_word_embeddings = before.tied
    if rows > before.rows:
        model.resize_token_embeddings(rows, mean_resizing=False)
    for config in {id(c): c for c in (model.config, model.config.get_text_config())}.values():
        if getattr(config, "vocab_size", None) is not None:
            config.vocab_size = rows
    after = tables(model)
    if after.tied != before.tied or after.rows != rows:
        raise FormatError(f"{type(model).__name__} did not take {rows} rows: it cannot be extended")
    return after


@torch.no_grad()
def write_rows(table: Tensor, ids: Tensor, rows: Tensor) -> None:
    """Set rows [N, D] of a table by id [N], cast to its dtype."""
    table[ids.to(table.device)] = rows.to(table.device, table.dtype)
