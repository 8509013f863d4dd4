"""VALL-E's heads: the first codebook step by step, the others level by level, all frames of a level at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from codectok.llm.heads.parallel_heads import ParallelHeads, Pick, Said, cross_entropy
from codectok.llm.heads.token_rows import TokenRows
from codectok.llm.patterns.stream_plan import StreamPlan


class NarHeads(ParallelHeads):
    """A language model says codebook 0; a transformer that sees all frames says codebook k given those below it.

    Wang et al. 2023, VALL-E, section 4.2. There the second model reads phonemes; here it reads the states of the first,
    which have read the prompt, whatever was in it. All levels are learned in each step, where VALL-E draws one.

    Args:
        rows: of the streams.
        plan: of the streams.
        dim: D of the language model.
        width: of the second transformer.
        layers: of the second transformer.
    """

    def __init__(self, rows: TokenRows, plan: StreamPlan, dim: int, width: int, layers: int) -> None:
        super().__init__(rows, plan, dim)
        heads = max(1, width // 64)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.levels = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.inlet = nn.Linear(dim, width, bias=False)
        self.below = nn.Linear(dim, width, bias=False)
        self.level = nn.Parameter(torch.randn(len(plan.sizes), width) * 0.02)
        self.outlet = nn.Linear(width, dim, bias=False)

    def _row(self, codebook: int) -> int:
        return codebook + (self.plan.text > 0)

    def _level(self, embedding: nn.Module, states: Tensor, codes: Tensor, level: int, real: Tensor | None) -> Tensor:
        """States [B, T, D] that say a codebook, given the language model's and the codes [B, level, T] below it."""
        inputs = self.inlet(states) + self.level[level] + positions(states.shape[1], self.level)
        total = sum(embedding(self.rows.ids(self._row(k), codes[:, k])) for k in range(level))
        hidden = inputs + self.below(total)
        hidden = self.levels(hidden, src_key_padding_mask=None if real is None else ~real)
        found: Tensor = self.outlet(hidden)
        return found

    def loss(self, embedding: nn.Module, head: Tensor, said: Said) -> Tensor:
        """As the base's, and of all levels."""
        total = super().loss(embedding, head, said)
        real = said.codes[:, 0] >= 0
        if real.shape[1] == 0:
            return total
        at = (said.starts[:, None] + torch.arange(real.shape[1], device=real.device)).clamp(
            max=said.hidden.shape[1] - 1
        )
        states = said.hidden.gather(1, at[..., None].expand(-1, -1, said.hidden.shape[-1]))
        codes = said.codes.clamp(min=0)
        real[:, 0] = True  # an utterance without frames would be all masked, and NaN
        for k in range(1, len(self.plan.sizes)):
            out = self._level(embedding, states, codes, k, real)[said.codes[:, k] >= 0]
            logits = self.rows.logits(head, self._row(k), out, special=False)
            total = total + said.weights[k] * cross_entropy(logits, said.codes[:, k][said.codes[:, k] >= 0])
        return total

    def complete(self, embedding: nn.Module, head: Tensor, states: Tensor, codes: Tensor, pick: Pick) -> Tensor:
        """As the base's: codebook after codebook, each in one pass over all frames."""
        if codes.shape[1] == 0:
            return codes.new_zeros(len(self.plan.sizes), 0)
        for k in range(1, len(self.plan.sizes)):
            out = self._level(embedding, states[None], codes[None], k, None)[0]
            logits = self.rows.logits(head, self._row(k), out, special=False)
            codes = torch.cat([codes, pick(logits)[None]])
        return codes


def positions(length: int, like: Tensor) -> Tensor:
    """Sinusoids [T, width] (Vaswani et al. 2017, section 3.5)."""
    width = like.shape[-1]
    rate = 10000 ** (-torch.arange(0, width, 2, device=like.device) / width)
    angle = torch.arange(length, device=like.device)[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], -1)[:, :width].to(like.dtype)
