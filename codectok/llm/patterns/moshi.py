"""Moshi's streams: text, and for one or two speakers a semantic codebook and delayed acoustic ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.llm.patterns.cells import Array
from codectok.llm.patterns.delay import Delay


@dataclass(frozen=True)
class MoshiStreams:
    """Text ahead of, or in line with, the speech that says it, as parallel streams (Defossez et al. 2024).

    ``join`` stacks text [T], own codes [K, T] and the other side's [K, T] as codebooks of one array; ``pattern`` is the
    delay pattern that arranges it; ``split`` takes it apart again. In the grid, stream a is text, b and c are ours (b
    semantic), d and e the other's.

    >>> print(MoshiStreams(2).pattern.draw(4, 5))
    a0 a1 a2 a3 _
    b0 b1 b2 b3 _
    ^  c0 c1 c2 c3
    d0 d1 d2 d3 _
    ^  e0 e1 e2 e3
    >>> print(MoshiStreams(2, text_ahead=2, both_sides=False, tail="truncate").pattern.draw(5, 3))
    a0 a1 a2 a3 a4
    ^  ^  b0 b1 b2
    ^  ^  ^  c0 c1

    Args:
        num_codebooks: K of one side.
        acoustic_delay: steps by which the acoustic codebooks follow the semantic one (1, in pre-training 2).
        text_ahead: steps by which all speech follows the text: 0 is the inner monologue, more is speech synthesis;
            negative puts text after speech, which is recognition.
        both_sides: whether there is a second speaker.
        tail: see ``Delay``: ``truncate`` is Moshi's training, which keeps the length and loses the tail.
        lead: START steps before everything (1 in Moshi: its initial token).
        ends: see ``Delay``.
    """

    num_codebooks: int = 8
    acoustic_delay: int = 1
    text_ahead: int = 0
    both_sides: bool = True
    tail: str = "extend"
    lead: int = 0
    ends: bool = False

    @property
    def pattern(self) -> Delay:
        """The arrangement of all streams."""
        speech = max(0, self.text_ahead)
        side = (speech, *(speech + self.acoustic_delay for _ in range(self.num_codebooks - 1)))
        delays = (max(0, -self.text_ahead), *side * (1 + self.both_sides))
        return Delay(delays, self.lead, self.tail, self.ends)

    @property
    def names(self) -> tuple[str, ...]:
        """What each stream holds."""
        side = ("semantic", *(f"acoustic {k}" for k in range(1, self.num_codebooks)))
        other = tuple(f"other {name}" for name in side) if self.both_sides else ()
        return ("text", *side, *other)

    def join(self, text: Array, own: Array, other: Array | None = None) -> Array:
        """Text [..., T], own [..., K, T], other [..., K, T] -> [..., streams, T].

        Raises:
            FormatError: a side missing or too much, or shapes that differ.
        """
        sides: list[Any] = [own] if other is None else [own, other]
        if len(sides) != 1 + self.both_sides:
            raise FormatError("give the codes of both sides, or say both_sides=False")
        for side in sides:
            if side.shape[-2:] != (self.num_codebooks, text.shape[-1]):
                raise FormatError(
                    f"codes of shape {list(side.shape)}: expected [..., {self.num_codebooks}, {text.shape[-1]}], "
                    "one frame for each text token"
                )
        if isinstance(text, Tensor):
            return torch.cat([text[..., None, :], *sides], -2)
        return np.concatenate([text[..., None, :], *sides], -2)

    def split(self, streams: Array) -> tuple[Array, Array, Array | None]:
        """The inverse of ``join``."""
        k = self.num_codebooks
        other = streams[..., 1 + k :, :] if self.both_sides else None
        return streams[..., 0, :], streams[..., 1 : 1 + k, :], other
