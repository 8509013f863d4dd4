"""Constrained generation for one stream: a grammar as a logits processor, or as static lists of ids."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from codectok.llm.generate.grammar import NOTHING, AudioGrammar

__all__ = ["AllowList", "AudioGrammar", "GrammarMask", "logits_processor"]


class GrammarMask:
    """A grammar as a transformers LogitsProcessor: its table on the scores' device, one gather masks a batch.

    Args:
        grammar: the grammar.
    """

    def __init__(self, grammar: AudioGrammar) -> None:
        self.grammar = grammar
        self._tables: dict[tuple[int, torch.device], Tensor] = {}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [B, V] with minus infinity for every id that may not follow ids [B, L].

        Raises:
            FormatError: a model with fewer rows than the vocabulary has ids.
        """
        key = (scores.shape[-1], scores.device)
        if key not in self._tables:
            self._tables[key] = torch.from_numpy(self.grammar.table(key[0])).to(scores.device)
        row, extra = (x.to(scores.device) for x in self.grammar.state(input_ids))
        allow = self._tables[key][row]
        rows = torch.arange(len(allow), device=scores.device)
        allow[rows, extra.clamp(min=0)] |= extra != NOTHING
        return scores.masked_fill(~allow, float("-inf"))


class AllowList:
    """A grammar as static lists of ids, one a slot: transformers' ``prefix_allowed_tokens_fn``, or any other server's.

    Args:
        grammar: the grammar.
    """

    def __init__(self, grammar: AudioGrammar) -> None:
        self.grammar = grammar
        self._lists = [*grammar.lists(), []]

    def __call__(self, batch: int, ids: Sequence[int] | Tensor) -> list[int]:
        """Ids that may follow a sequence [L]; the number in the batch does not matter."""
        row, extra = self.grammar.state(torch.as_tensor(ids, dtype=torch.int64).reshape(1, -1))
        return self._lists[int(row)] + [int(extra)] * (int(extra) != NOTHING)


def logits_processor(grammar: AudioGrammar) -> list[GrammarMask]:
    """The grammar as ``model.generate(logits_processor=...)`` takes it."""
    from transformers import LogitsProcessorList

    return LogitsProcessorList([GrammarMask(grammar)])
