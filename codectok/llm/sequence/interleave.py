"""Text and speech in turns: by ratio, by aligned words, by utterance.

De-interleaving needs no plan: text ids and audio ids are disjoint, and each kind keeps its order. So ``deinterleave``
undoes any interleaving that drops nothing, ratios above all. By words, each stretch is in one of the two forms only;
what was left out is not there to be found again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from codectok.errors import FormatError
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.parse import ParseReport, parse

RATIOS = {"ist-lm": (1, 2), "glm-4-voice": (13, 26), "cosyvoice2": (5, 15)}
"""Text tokens, then frames: IST-LM (Yang et al.), GLM-4-Voice (Zeng et al.), CosyVoice 2 (Du et al.), all of 2024."""


def read_ratio(text: str) -> tuple[int, int]:
    """A ratio by name ("glm-4-voice") or as "13:26".

    Raises:
        FormatError: neither.
    """
    if text in RATIOS:
        return RATIOS[text]
    parts = text.split(":")
    if len(parts) != 2 or not all(p.isdecimal() and 0 < int(p) < 10**6 for p in parts):
        raise FormatError(f"ratio {text!r}: give text:speech such as 13:26, or one of {', '.join(RATIOS)}")
    return int(parts[0]), int(parts[1])


@dataclass(frozen=True, eq=False)
class Mixed:
    """A text and its speech by ratio, as a segment: ``text_chunk`` tokens, ``speech_chunk`` frames, and again.

    There are no markers around the frames: ``deinterleave`` reads such a sequence, ``generate`` cannot speak it.

    Attributes:
        text: encoded as a whole, then dealt out.
        codes: [K, T] (or Tokens), flattened; a frame's K tokens stay together.
        text_chunk: text tokens at a time.
        speech_chunk: frames at a time.
        say_text: whether a model learns the text (GLM-4-Voice does; CosyVoice 2 and IST-LM are given it).
    """

    text: str
    codes: Any
    text_chunk: int
    speech_chunk: int
    say_text: bool = True


def ratio_places(
    num_text: int, num_frames: int, text_chunk: int, speech_chunk: int, width: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Where each text token and the first token of each frame stand in an interleaving by ratio.

    Text comes first. Tail rule: when either runs out, the rest of the other follows in one stretch.

    Args:
        num_text: N text tokens.
        num_frames: T frames.
        text_chunk: text tokens at a time.
        speech_chunk: frames at a time.
        width: tokens a frame.

    Returns:
        int64 [N] and int64 [T].
    """
    if text_chunk < 1 or speech_chunk < 1:
        raise FormatError(f"ratio {text_chunk}:{speech_chunk}: both must be 1 or more")
    text, frame = np.arange(num_text), np.arange(num_frames)
    before_text = np.minimum(text // text_chunk * speech_chunk, num_frames)
    before_frame = np.minimum((frame // speech_chunk + 1) * text_chunk, num_text)
    return text + before_text * width, frame * width + before_frame


def interleave_by_ratio(
    text: np.ndarray, audio: np.ndarray, text_chunk: int, speech_chunk: int, width: int = 1
) -> np.ndarray:
    """Text ids [N] and flattened audio ids [T * width] in turns: [N + T * width]. See ``ratio_places``.

    Raises:
        FormatError: a ratio below 1, or audio that is no whole number of frames.
    """
    if len(audio) % width:
        raise FormatError(f"{len(audio)} audio ids are no whole number of frames of {width}")
    at_text, at_frame = ratio_places(len(text), len(audio) // width, text_chunk, speech_chunk, width)
    out = np.empty(len(text) + len(audio), dtype=np.int64)
    out[at_text] = text
    out[(at_frame[:, None] + np.arange(width)).reshape(-1)] = audio
    return out


def deinterleave(vocab: AudioVocab, ids: Tensor | np.ndarray) -> tuple[np.ndarray, Tensor, ParseReport]:
    """Text ids [N], codes int64 [K, T], and what was dropped, of a sequence [L] interleaved in any way.

    Markers and timestamps are in neither; ``parse`` says how many there were.
    """
    table = np.asarray(ids)
    codes, report = parse(vocab, table)
    return table[~vocab.owns(table)], codes, report


class Word(NamedTuple):
    """A word and where it is spoken, in s."""

    text: str
    start: float
    end: float


class Run(NamedTuple):
    """Some words in one of two forms. ``first``..``last`` are the words, ``start``..``stop`` their frames."""

    kind: str
    first: int
    last: int
    start: int
    stop: int


def interleave_by_words(
    words: Sequence[Word], num_frames: int, frame_rate: Fraction | float, *, seed: int, mean_words: float = 5.0
) -> list[Run]:
    """Switch between text and speech at word boundaries (Spirit LM, Nguyen et al., 2024).

    Every word is in one run, every frame in the stretch of one run: a run goes from the onset of its first word to the
    onset of the next run's; the first from frame 0, the last to T. Lengths are geometric, the first kind is a coin
    toss; all follow from the seed.

    Args:
        words: in order, times in s.
        num_frames: T.
        frame_rate: Hz.
        seed: of the switches.
        mean_words: mean length of a run.

    Raises:
        FormatError: words out of order or outside the audio, or a mean below 1.
    """
    if mean_words < 1:
        raise FormatError(f"runs of {mean_words} words: give a mean of 1 or more")
    starts = np.array([w.start for w in words])
    ends = np.array([w.end for w in words])
    seconds = num_frames / float(frame_rate)
    if not (np.isfinite(starts).all() and np.isfinite(ends).all()) or (starts < 0).any() or (ends < starts).any():
        raise FormatError("word times must be seconds, with each end at or after its start")
    if (np.diff(starts) < 0).any() or (len(words) and starts[-1] > seconds):
        raise FormatError(f"words must be in order and begin within the audio's {seconds:g} s")
    if not len(words):
        return []
    rng = np.random.default_rng(seed)
    speech = bool(rng.integers(2))
    first = np.flatnonzero(np.concatenate([[True], rng.random(len(words) - 1) < 1 / mean_words]))
    onsets = np.minimum(np.round(starts[first] * float(frame_rate)).astype(int), num_frames)
    onsets[0] = 0
    bounds = zip(first, [*first[1:], len(words)], onsets, [*onsets[1:], num_frames], strict=True)
    return [
        Run("speech" if speech ^ bool(i % 2) else "text", *(int(b) for b in bound)) for i, bound in enumerate(bounds)
    ]
