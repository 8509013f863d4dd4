"""Two small reference models of parallel streams: delay-pattern heads, and an RQ (depth) transformer.

Both read and write step grids [B, S, L] of any pattern, and run on any causal body that takes ``inputs_embeds`` and
``past_key_values`` and gives ``last_hidden_state`` (a transformers base model such as ``LlamaModel``). Position l of
the logits predicts step l: the input is shifted inside, behind a learned first vector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codectok.errors import FormatError
from codectok.llm.generate.stream_grammar import StreamGrammar
from codectok.llm.patterns import Cell, Pattern

Pick = Callable[[Tensor], Tensor]
"""``pick(logits [N, V]) -> ids [N]``."""


class ParallelHeadsLM(nn.Module):
    """Sum of S embeddings in, S linear heads out (MusicGen, Copet et al. 2023).

    Args:
        body: causal transformer of width ``dim``.
        dim: D.
        streams: S.
        width: V, ids of each stream, those of the fill included.
    """

    def __init__(self, body: nn.Module, dim: int, streams: int, width: int) -> None:
        super().__init__()
        self.body, self.streams, self.width = body, streams, width
        self.embedding = nn.Embedding(streams * width, dim)
        self.first = nn.Parameter(torch.randn(dim) * 0.02)
        self.heads = nn.Linear(dim, streams * width, bias=False)

    def embed(self, steps: Tensor) -> Tensor:
        """Steps [B, S, L] -> [B, L, D], the sum over streams."""
        offsets = torch.arange(self.streams, device=steps.device)[:, None] * self.width
        return self.embedding(steps + offsets).sum(1)

    def hidden(self, steps: Tensor, prefix: Tensor | None = None) -> Tensor:
        """States [B, L, D] that predict each step, given the steps before it and an embedded prefix [B, P, D]."""
        first = self.first.expand(len(steps), 1, -1)
        parts = [first, self.embed(steps[..., :-1])]
        before = [] if prefix is None else [prefix]
        out = self.body(inputs_embeds=torch.cat([*before, *parts], 1), use_cache=False).last_hidden_state
        return out[:, out.shape[1] - steps.shape[-1] :]

    def forward(self, steps: Tensor, prefix: Tensor | None = None) -> Tensor:
        """Logits [B, S, L, V] of steps [B, S, L], all positions at once."""
        out = self.heads(self.hidden(steps, prefix))
        return out.unflatten(-1, (self.streams, self.width)).transpose(1, 2)

    def advance(self, last: Tensor | None, cache: Any, batch: int, prefix: Tensor | None = None) -> tuple[Tensor, Any]:
        """State [B, D] that predicts the next step, given the last one [B, S] (None: the first) and the cache."""
        if last is None:
            first = self.first.expand(batch, 1, -1)
            inputs = first if prefix is None else torch.cat([prefix, first], 1)
        else:
            inputs = self.embed(last[..., None])
        out = self.body(inputs_embeds=inputs, past_key_values=cache, use_cache=True)
        return out.last_hidden_state[:, -1], out.past_key_values

    def draw(self, state: Tensor, allow: Tensor, pick: Pick) -> Tensor:
        """One step [B, S] from its state [B, D]: streams independently, each among the ids allowed [B, S, V]."""
        logits = self.heads(state).unflatten(-1, (self.streams, self.width))
        return pick(logits.masked_fill(~allow, float("-inf")).flatten(0, 1)).unflatten(0, allow.shape[:2])


class DepthLM(ParallelHeadsLM):
    """A temporal transformer over steps, a small one over the streams within a step.

    RQ-Transformer (Lee et al. 2022); UniAudio's local transformer, Moshi's depth transformer, CSM's decoder. Stream s
    is predicted from the temporal state and the ids of streams 0 to s - 1 of the same step.

    Args:
        body: temporal transformer of width ``dim``.
        dim: D.
        streams: S.
        width: V.
        depth: causal transformer of width ``depth_dim`` over S positions.
        depth_dim: its width.
    """

    def __init__(self, body: nn.Module, dim: int, streams: int, width: int, depth: nn.Module, depth_dim: int) -> None:
        super().__init__(body, dim, streams, width)
        self.depth = depth
        self.inlet = nn.Linear(dim, depth_dim, bias=False)
        self.depth_embedding = nn.Embedding(streams * width, depth_dim)
        self.heads = nn.Linear(depth_dim, streams * width, bias=False)

    def _logits(self, state: Tensor, stream: slice) -> Tensor:
        """Outputs [N, s, Dd] of the depth transformer at some streams -> logits [N, s, V], each by its own head."""
        weight = self.heads.weight.unflatten(0, (self.streams, self.width))[stream]
        return torch.einsum("nsd,svd->nsv", state, weight)

    def forward(self, steps: Tensor, prefix: Tensor | None = None) -> Tensor:
        """Logits [B, S, L, V] of steps [B, S, L], all positions and streams at once."""
        batch, streams, length = steps.shape
        temporal = self.inlet(self.hidden(steps, prefix)).reshape(batch * length, 1, -1)
        offsets = torch.arange(streams - 1, device=steps.device) * self.width
        below = steps.transpose(1, 2).reshape(batch * length, streams)[:, :-1] + offsets
        inputs = torch.cat([temporal, self.depth_embedding(below)], 1)
        out = self.depth(inputs_embeds=inputs, use_cache=False).last_hidden_state
        return self._logits(out, slice(0, streams)).unflatten(0, (batch, length)).transpose(1, 2)

    def draw(self, state: Tensor, allow: Tensor, pick: Pick) -> Tensor:
        """One step [B, S] from its state [B, D]: stream after stream."""
        inputs, cache, said = self.inlet(state)[:, None], None, []
        for s in range(self.streams):
            out = self.depth(inputs_embeds=inputs, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            logits = self._logits(out.last_hidden_state, slice(s, s + 1))[:, 0]
            said.append(pick(logits.masked_fill(~allow[:, s], float("-inf"))))
            inputs = self.depth_embedding(said[-1] + s * self.width)[:, None]
        return torch.stack(said, 1)


def target_mask(pattern: Pattern, num_frames: int, num_codebooks: int) -> Tensor:
    """Bool [S, steps]: cells to learn, which are codes and end marks; start, blank and pad cells are given."""
    grid = torch.from_numpy(pattern.grid(num_frames, num_codebooks))
    return (grid >= 0) | (grid == Cell.END)


def stream_loss(
    logits: Tensor, steps: Tensor, mask: Tensor, weights: Sequence[float] | None = None
) -> tuple[Tensor, Tensor]:
    """Cross-entropy over all streams: their weighted mean, and that of each stream [S], in nats.

    Each stream is averaged over its own targets, then streams by weight. Weights are normalised to sum 1, so that a
    heavy semantic stream (Moshi: 100) does not change the learning rate; streams without targets count nothing.

    Args:
        logits: [B, S, L, V].
        steps: [B, S, L].
        mask: bool [S, L] or [B, S, L], see ``target_mask``.
        weights: one a stream, none negative; default equal.

    Raises:
        FormatError: weights that do not fit, or no target at all.
    """
    streams = steps.shape[1]
    weight = torch.ones(streams) if weights is None else torch.tensor([float(w) for w in weights])
    if len(weight) != streams or bool((weight < 0).any()):
        raise FormatError(f"weights {weights}: give {streams}, one a stream, none negative")
    mask = mask.to(steps.device).expand(steps.shape)
    each = F.cross_entropy(logits.flatten(0, 2).float(), steps.flatten(), reduction="none").view(steps.shape)
    count = mask.sum((0, 2))
    mean = torch.where(mask, each, 0.0).sum((0, 2)) / count.clamp(min=1)
    weight = weight.to(steps.device) * (count > 0)
    if not float(weight.sum()):
        raise FormatError("no target has a weight: nothing to learn from")
    return (weight / weight.sum() * mean).sum(), mean


@torch.no_grad()
def generate_streams(
    model: ParallelHeadsLM, grammar: StreamGrammar, batch: int, pick: Pick, max_steps: int, prefix: Tensor | None = None
) -> Tensor:
    """Draw step after step until all sequences are complete: int64 [B, S, steps]; ``grammar.inverse()`` reads them.

    Args:
        model: of as many streams as the grammar.
        grammar: what may be said.
        batch: sequences.
        pick: how an id is drawn.
        max_steps: stop there at the latest.
        prefix: embedded condition [B, P, D].
    """
    device = model.first.device
    history = torch.zeros(batch, model.streams, 0, dtype=torch.int64, device=device)
    last: Tensor | None = None
    cache: Any = None
    while history.shape[2] < max_steps and not bool(grammar.finished(history).all()):
        state, cache = model.advance(last, cache, batch, prefix)
        last = grammar.settle(history, model.draw(state, grammar.allow(history, model.width), pick))
        history = torch.cat([history, last[..., None]], -1)
    return history
