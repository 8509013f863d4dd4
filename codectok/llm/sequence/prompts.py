"""Prompts for generation in the very format of the training data: what a task gives, without what it says."""

from __future__ import annotations

from fractions import Fraction
from itertools import takewhile
from typing import Any

import torch

from codectok.errors import FormatError
from codectok.llm.sequence.interleave import Mixed, Word
from codectok.llm.sequence.segments import Audio, Marker, Segment, Text
from codectok.llm.sequence.task_table import task
from codectok.llm.sequence.tasks import TaskItem
from codectok.llm.vocab.audio_vocab import AudioVocab

WHOLE, RATE = 1e9, Fraction(1)
"""Seconds, and any rate: speech to be continued is given whole, not by half as in training."""


def task_prompt(
    name: str,
    vocab: AudioVocab,
    text: str = "",
    codes: Any = None,
    *,
    speak: bool = False,
) -> list[Segment]:
    """The parts of a task's sequence that are given, cue and markers as ``codectok llm pack`` writes them.

    Args:
        name: of the task (``task_names.TASKS``).
        vocab: for its markers.
        text: that is given, where the task reads text.
        codes: of the speech that is given, [K, T] or Tokens, where it hears some.
        speak: sound is wanted: begin it where the task says sound next.

    Raises:
        FormatError: no such task, text or speech that it needs or does not read, or sound from a task of text alone.
    """
    chosen = task(name)
    style = chosen.style(vocab, prompt_seconds=WHOLE)
    nothing = torch.zeros(len(vocab.unit_sizes), 0, dtype=torch.int64)
    following = (TaskItem("", nothing, "", nothing, ""),) if chosen.group else ()
    heard = nothing if codes is None else codes
    words = (Word("", 0.0, 0.0),) if "words" in chosen.needs else ()
    parts = chosen.parts(TaskItem("", heard, text, nothing, "", words, RATE, following), style, vocab)
    given: list[Segment] = [part.segment for part in takewhile(lambda part: not part.predict, parts)]
    said = [part.segment for part in parts[len(given) :]]
    reads = any(isinstance(s, Text) for s in given[len(style.cue) :])
    hears = any(isinstance(s, Audio) for s in given)
    for what, there, wanted in (("text", bool(text), reads), ("audio", codes is not None, hears)):
        if there != wanted:
            raise FormatError(f"task {name} {'needs' if wanted else 'is given no'} {what}")
    if speak and not any(isinstance(s, (Audio, Mixed)) for s in said):
        raise FormatError(f"task {name} says no sound: leave the audio file out")
    if speak and said and isinstance(said[0], Marker):
        given.append(said[0])
    return given
