"""Depth heads: a small transformer says the streams of a step one after the other, coarse first."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from codectok.llm.heads.kv_cache import call_cached
from codectok.llm.heads.parallel_heads import ParallelHeads, Pick, Said, allowed_only, cross_entropy
from codectok.llm.heads.token_rows import TokenRows
from codectok.llm.patterns.stream_plan import StreamPlan


class DepthHeads(ParallelHeads):
    """RQ-Transformer (Lee et al. 2022), as in UniAudio, Moshi and CSM.

    Stream s is said from the language model's state and the ids of streams 0 to s - 1 of the same step. Text, which
    comes first, is said by the language model's own head.

    Args:
        rows: of the streams.
        plan: of the streams.
        dim: D of the language model.
        width: of the depth transformer.
        layers: of the depth transformer.
    """

    def __init__(self, rows: TokenRows, plan: StreamPlan, dim: int, width: int, layers: int) -> None:
        super().__init__(rows, plan, dim)
        self.depth = small_transformer(width, layers, len(plan.row_of))
        self.inlet = nn.Linear(dim, width, bias=False)
        self.below = nn.Linear(dim, width, bias=False)
        self.place = nn.Parameter(torch.randn(len(plan.row_of), width) * 0.02)
        self.outlet = nn.Linear(width, dim, bias=False)

    def _spoken(self, stream: int) -> bool:
        return self.plan.text > 0 and stream == 0

    def loss(self, embedding: nn.Module, head: Tensor, said: Said) -> Tensor:
        """As the base's."""
        at = said.learned[..., 1:].any(1)
        hidden = said.hidden[:, :-1][at]  # [M, D]
        steps = said.steps[..., 1:].transpose(1, 2)[at]  # [M, S]
        learned = said.learned[..., 1:].transpose(1, 2)[at]
        inputs = [self.inlet(hidden)]
        for s, row in enumerate(self.plan.row_of[:-1]):
            inputs.append(self.below(embedding(self.rows.ids(row, steps[:, s].clamp(min=0)))))
        stacked = torch.stack(inputs, 1) + self.place
        out = self.outlet(self.depth(inputs_embeds=stacked, use_cache=False).last_hidden_state)
        weights = self.stream_weights(said.weights)
        total = hidden.new_zeros((), dtype=torch.float32)
        for s in range(len(self.plan.row_of)):
            state = hidden if self._spoken(s) else out[:, s]
            logits = self.logits(head, s, state[learned[:, s]])
            total = total + weights[s] * cross_entropy(logits, steps[:, s][learned[:, s]])
        return total

    def draw(self, embedding: nn.Module, head: Tensor, state: Tensor, allow: Tensor, pick: Pick) -> Tensor:
        """As the base's; each stream knows what those before it said."""
        said: list[Tensor] = []
        given, cache = self.inlet(state), None
        for s, row in enumerate(self.plan.row_of):
            out, cache = call_cached(self.depth, cache, inputs_embeds=(given + self.place[s])[:, None])
            spoken = state if self._spoken(s) else self.outlet(out.last_hidden_state[:, -1])
            said.append(pick(allowed_only(self.logits(head, s, spoken), allow[:, s])))
            given = self.below(embedding(self.rows.ids(row, said[-1])))
        return torch.stack(said, 1)


def small_transformer(width: int, layers: int, positions: int) -> Any:
    """A causal transformer over vectors, a Llama without tokens; heads of about 64."""
    from transformers import LlamaConfig, LlamaModel

    heads = max(1, width // 64)
    config = LlamaConfig(
        vocab_size=1, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads, max_position_embeddings=positions,
    )  # fmt: skip
    made: Any = LlamaModel(config)
    del made.embed_tokens  # of no use, and no gradient reaches it
    return made
