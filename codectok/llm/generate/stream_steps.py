"""The one loop that says several streams: step after step, each among what the plan allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from codectok.llm.generate.stream_grammar import StreamGrammar
from codectok.llm.heads.parallel_heads import Pick
from codectok.llm.heads.stream_model import StreamModel


class Step(NamedTuple):
    """A step, and the state of the language model that it was said from.

    Attributes:
        ids: local ids int64 [S].
        state: [D]; it has read the prompt and the steps before.
    """

    ids: Tensor
    state: Tensor


def say_steps(model: StreamModel, prompt: Tensor, grammar: StreamGrammar, pick: Pick) -> Iterator[Step]:
    """Steps of one utterance until it is complete.

    Args:
        model: of the plan that the grammar is of.
        prompt: ids int64 [P], at least one.
        grammar: what may be said.
        pick: how an id is drawn from logits.
    """
    prompt = prompt.to(model.device)[None]
    history = torch.zeros(1, grammar.streams, 0, dtype=torch.int64, device=model.device)
    nothing = torch.full((1, grammar.streams, prompt.shape[1]), -1, device=model.device)
    ids, steps, cache = prompt, nothing, None
    while not bool(grammar.finished(history).all()):
        with torch.inference_mode():
            hidden, cache = model.hidden(model.inputs(ids, steps), None, cache, keep=True)
            state = hidden[:, -1]
            drawn = model.heads.draw(model.embedding, model.head, state, grammar.allow(history), pick)
            step = grammar.settle(history, drawn)
            history = torch.cat([history, step[..., None]], -1)
        yield Step(step[0].cpu(), state[0])
        ids, steps = torch.zeros_like(ids[:, :1]), step[..., None]
