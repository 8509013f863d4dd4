"""A text as a stream beside speech: a token or none for each frame (Moshi's inner monologue)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np

from codectok.errors import FormatError
from codectok.llm.sequence.interleave import Word

Encode = Callable[[str], np.ndarray]
"""``encode(text) -> ids [N]``."""


def text_row(
    encode: Encode, text: str, words: Sequence[Word], rate: Fraction, frames: int, none: int, group: int = 1
) -> np.ndarray:
    """Ids of the text stream, int64 [T], ``none`` where no text is said.

    With words and their times, the tokens of a word stand from the frame in which it begins, one after the other. A
    word that begins while the one before is still being spelled follows it (Defossez et al. 2024, section 3.4.4).
    Without, the text stands at the beginning (Mini-Omni, SLAM-Omni). In groups of frames each has one, at its first.

    Args:
        encode: of the text tokenizer, for text behind other text.
        text: what is said.
        words: the same with times in s; () where they are not known.
        rate: frames a second.
        frames: T.
        none: the id of no text.
        group: frames a step.

    Raises:
        FormatError: more tokens than places.
    """
    places = -(-frames // group)
    row = np.full(frames, none, dtype=np.int64)
    at = 0
    for i, (piece, start) in enumerate([(w.text, w.start) for w in words] or [(text, 0.0)]):
        ids = encode(piece if i == 0 else f" {piece}")
        at = max(at, int(start * float(rate)) // group)
        if at + len(ids) > places:
            raise FormatError(f"the text has {len(ids)} tokens from step {at} on, its speech {places} steps")
        row[(at + np.arange(len(ids))) * group] = ids
        at += len(ids)
    return row
