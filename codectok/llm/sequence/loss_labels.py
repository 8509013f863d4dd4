"""Labels and loss weights: which tokens of a sequence a model learns to say, and how much each counts.

A label is the token's own id (transformers shifts labels inside the model), or IGNORE. The first token of a sequence
never has a label, whatever its part says: nothing stands before it to predict it from, and in a packed row the token
before it belongs to another sequence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from codectok.errors import FormatError

if TYPE_CHECKING:
    from codectok.llm.vocab.audio_vocab import AudioVocab

IGNORE = -100


@dataclass(frozen=True, eq=False)
class Part:
    """A piece of a training sequence.

    Attributes:
        segment: a Segment (``segments``), or a ``Mixed`` one (``interleave``).
        predict: whether its tokens have labels.
        weight: of each of its tokens in the loss, 0 or more.
    """

    segment: Any
    predict: bool = False
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise FormatError(f"loss weight {self.weight}: give a finite number, 0 or more")


def given(*segments: Any) -> list[Part]:
    """Parts that a model reads only."""
    return [Part(segment) for segment in segments]


def said(*segments: Any, weight: float = 1.0) -> list[Part]:
    """Parts that a model learns to say."""
    return [Part(segment, True, weight) for segment in segments]


def codebook_weights(weights: Iterable[float], vocab: AudioVocab) -> np.ndarray:
    """Weights of the codebooks scaled to a mean of 1 over a frame, float64, one a codebook with ids of its own.

    Scaled, because a weight of 100 on the first codebook (moshi-finetune) would else raise the learning rate too.

    Raises:
        FormatError: another number of weights than codebooks, a negative one, or none above 0.
    """
    table = np.array(list(weights), dtype=np.float64)
    blocks = np.array(vocab.layout.blocks)
    if len(table) != len(vocab.layout.block_sizes) or not np.isfinite(table).all() or (table < 0).any():
        raise FormatError(f"give a weight, 0 or more, for each of {len(vocab.layout.block_sizes)} codebooks")
    if table[blocks].sum() == 0:
        raise FormatError("codebook weights are all 0: nothing would be learned from audio")
    return table / table[blocks].mean()


def weighted_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross entropy in nats, the mean over labelled tokens by weight: sum(w * ce) / sum(w); 0 where there are none.

    Args:
        logits: [B, N, V], of a causal model: position i predicts token i + 1.
        labels: [B, N], as the dataset has them, not shifted.
        weights: [B, N], of the token at each position; None is 1 everywhere.
    """
    target = labels[:, 1:]
    loss = torch.nn.functional.cross_entropy(
        logits[:, :-1].float().transpose(1, 2), target, ignore_index=IGNORE, reduction="none"
    )
    weight = (target != IGNORE).to(loss.dtype)
    if weights is not None:
        weight = weight * weights[:, 1:]
    return (loss * weight).sum() / weight.sum().clamp(min=torch.finfo(loss.dtype).tiny)


def label_count(parts: Sequence[Part], lengths: Sequence[int]) -> int:
    """Labels of a sequence whose parts have these lengths: of all that is said, but for the sequence's first token."""
    held = [(part, n) for part, n in zip(parts, lengths, strict=True) if n]
    return sum(n for part, n in held if part.predict) - bool(held and held[0][0].predict)
