"""Which tensor "layer i" is: named conventions, and the hooks that pick several layers out of one pass."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from codectok.errors import CodectokError

CONVENTIONS = ("hf", "fairseq", "pre-residual")
"""For a model of N blocks, blocks counted from 1 in each of them:

- ``hf``: ``hidden_states[i]`` of transformers, 0 to N. 0 is the input to the first block, i the output of block i. N
  is the model's own output, after its final norm where it has one.
- ``fairseq``: ``output_layer=i`` of fairseq's HuBERT and wav2vec 2.0, 1 to N. As ``hf``, but that N of a
  layer-norm-first model (the Large and XL ones) comes *without* the final norm.
- ``pre-residual``: the output of block i's (last) feed-forward module before it is added to the residual, 1 to N: what
  fairseq lists as ``layer_results[i - 1][2]`` and takes as data2vec targets. For w2v-BERT 2.0 the half weight is not
  applied yet.
"""

_FEED_FORWARD = ("feed_forward", "ffn2", "fc2", "mlp")


def resolve_layers(layer: int | Sequence[int], num_layers: int, convention: str, name: str) -> tuple[int, ...]:
    """The layers asked for, negative ones counted from the last: in the order given.

    Raises:
        CodectokError: an unknown convention, a layer that the model or the convention does not have, or one twice.
    """
    if convention not in CONVENTIONS:
        raise CodectokError(f"convention is {convention!r}: give one of {', '.join(CONVENTIONS)}")
    asked = [layer] if isinstance(layer, int) else list(layer)
    lowest = 0 if convention == "hf" else 1
    from_end = lowest - num_layers - 1
    for i in asked:
        if not (lowest <= i <= num_layers or from_end <= i < 0):
            note = "" if convention == "hf" else f" in the convention {convention!r}"
            raise CodectokError(
                f"layer {i} of {name}: give {lowest} to {num_layers}, or -1 to {from_end} from the end{note}"
            )
    found = tuple(i if i >= 0 else num_layers + 1 + i for i in asked)
    if not found or len(set(found)) < len(found):
        raise CodectokError(f"layers {asked} of {name}: give at least one, and each once")
    return found


class Taps:
    """Keeps the chosen layers' outputs while a model runs, by hooks on its blocks.

    Args:
        blocks: the transformer blocks that are left in the model: as many as the highest layer.
        layers: resolved layers.
        convention: one of :data:`CONVENTIONS`.
    """

    def __init__(self, blocks: nn.ModuleList, layers: Sequence[int], convention: str) -> None:
        self.layers = tuple(layers)
        self._seen: dict[int, Tensor] = {}
        # The highest layer of "hf" and "fairseq" is what the (cut) model gives, with the norm that belongs there.
        self._last = None if convention == "pre-residual" else max(layers)
        for i in layers:
            if i == self._last:
                continue
            if i == 0:
                blocks[0].register_forward_pre_hook(self._before, with_kwargs=True)
            elif convention == "pre-residual":
                self._after(_feed_forward(blocks[i - 1]), i)
            else:
                self._after(blocks[i - 1], i)

    def _before(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._seen[0] = args[0] if args else kwargs["hidden_states"]

    def _after(self, module: nn.Module, i: int) -> None:
        module.register_forward_hook(partial(self._keep, i))  # a closure could not be pickled

    def _keep(self, i: int, _: nn.Module, __: Any, output: Any) -> None:
        self._seen[i] = output[0] if isinstance(output, tuple) else output

    def collect(self, last: Tensor) -> Tensor:
        """The layers side by side, [B, T, D * layers], once the model has run and given ``last`` [B, T, D]."""
        found = [last if i == self._last else self._seen[i] for i in self.layers]
        self._seen = {}
        return found[0] if len(found) == 1 else torch.cat([x.float() for x in found], -1)


def _feed_forward(block: nn.Module) -> nn.Module:
    for name in _FEED_FORWARD:
        if hasattr(block, name):
            return getattr(block, name)
    raise CodectokError(f"{type(block).__name__} has no feed-forward module that is known: use the convention 'hf'")
