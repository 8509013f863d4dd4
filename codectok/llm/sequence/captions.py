"""Times in captions as tokens: "a dog barks at 1.12s" <-> "a dog barks at ", <|1.12|>.

A time as one token can be weighted in the loss, and cannot be misspelt. Only the ids are tokens: a user who types
<|1.12|> gets text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor

from codectok.errors import FormatError
from codectok.llm.sequence.loss_labels import Part
from codectok.llm.sequence.segments import Segment, Text, Time
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.tags import TimeTags

TIME = re.compile(r"(?<![\w.,])([0-9]{1,6}(?:\.[0-9]{1,6})?)s(?!\w)", re.ASCII)
"""1.12s, 3s; not v1.12s, 1.2.3s, 12st."""


def caption_segments(text: str, times: TimeTags) -> list[Segment]:
    """Text and time tokens of a caption. Times are rounded to the grid; those beyond its end stay text."""
    found: list[Segment] = []
    last = 0
    for match in TIME.finditer(text):
        seconds = float(match[1])
        if round(seconds * times.per_second) >= times.count:
            continue
        if match.start() > last:
            found.append(Text(text[last : match.start()]))
        found.append(Time(seconds))
        last = match.end()
    return [*found, Text(text[last:])] if last < len(text) else found


def caption_text(segments: Iterable[Segment], times: TimeTags) -> str:
    """Undo ``caption_segments``: exact for times of two decimals that lie on the grid, the nearest of those for others.

    Raises:
        FormatError: a segment that is neither text nor a time.
    """
    found = []
    for segment in segments:
        match segment:
            case Text(text):
                found.append(text)
            case Time(seconds):
                found.append(spell(times.id(seconds), times))
            case _:
                raise FormatError(f"{type(segment).__name__} is no part of a caption: give Text and Time")
    return "".join(found)


def caption_parts(text: str, times: TimeTags, time_weight: float = 1.0) -> list[Part]:
    """A caption that a model learns to say, its times weighted by ``time_weight``."""
    segments = caption_segments(text, times)
    return [Part(s, True, time_weight if isinstance(s, Time) else 1.0) for s in segments]


def read_caption(tokenizer: Any, vocab: AudioVocab, ids: Tensor | np.ndarray) -> str:
    """The caption that a model said, from its ids [N]: times as "1.12s", text by the tokenizer, other tokens left out.

    Raises:
        FormatError: a vocabulary without timestamps.
    """
    if vocab.timestamps is None:
        raise FormatError(f"vocabulary {vocab.name} has no timestamps")
    found, text = [], list[int]()
    table = np.asarray(ids)
    for id, owned in zip(table.tolist(), vocab.owns(table).tolist(), strict=True):
        if not owned:
            text.append(id)
        elif vocab.timestamps.seconds(id) is not None:
            found += [tokenizer.decode(text, skip_special_tokens=True), spell(id, vocab.timestamps)]
            text = []
    return "".join([*found, tokenizer.decode(text, skip_special_tokens=True)])


def spell(id: int, times: TimeTags) -> str:
    """A time token as a caption writes it: "1.12s"."""
    return times.token(id)[2:-2] + "s"
