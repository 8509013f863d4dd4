"""Tasks: what a training sequence is made of, and which of it a model learns to say.

Each task is a short function from an ``TaskItem`` to parts. Parts given stand first, parts said follow; a model that is
prompted with the former goes on with the latter. Beginning and end of sequence are added by ``SequenceEncoder``.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from codectok.errors import FormatError
from codectok.llm.sequence.captions import caption_parts
from codectok.llm.sequence.interleave import Mixed, Word, interleave_by_words
from codectok.llm.sequence.loss_labels import Part, given, said
from codectok.llm.sequence.segments import Audio, Marker, Segment, Text, Time
from codectok.llm.vocab.audio_vocab import AudioVocab


@dataclass(frozen=True, eq=False)
class TaskItem:
    """One utterance, and what goes with it. A task names what it needs.

    Attributes:
        id: of the utterance.
        codes: its speech, [K, T] or Tokens.
        text: its words.
        target_codes: other speech: a translation, an answer.
        target_text: other text: a translation, an answer, a continuation, a caption.
        words: its words and their times.
        frame_rate: of the codes, Hz.
        following: the utterances after it, for interleaving by utterance.
    """

    id: str
    codes: Any = None
    text: str | None = None
    target_codes: Any = None
    target_text: str | None = None
    words: tuple[Word, ...] = ()
    frame_rate: Fraction | None = None
    following: tuple[TaskItem, ...] = ()


@dataclass(frozen=True)
class Style:
    """How a vocabulary marks what a task is made of.

    Attributes:
        cue: segments that say which task it is, first in the sequence.
        heard: roles of the markers around speech that is given; () for none.
        spoken: roles of the markers around speech that is said.
        written: roles of the markers before text, where text and speech take turns (Spirit LM: "text").
        between: role of the marker between utterances, or None (Voxtral's <repeat> and <next>).
        ratio: text tokens and frames at a time, for ``interleaved`` without words; such sequences have no markers.
        seed: of what a task draws.
        prompt_seconds: of speech given, for ``speech-continuation``; None is half of it.
        time_weight: of time tokens in the loss, for ``caption`` and ``asr-times``.
    """

    cue: tuple[Segment, ...] = ()
    heard: tuple[str, ...] = ("begin", "end")
    spoken: tuple[str, ...] = ("begin", "end")
    written: tuple[str, ...] = ()
    between: str | None = None
    ratio: tuple[int, int] = (13, 26)
    seed: int = 0
    prompt_seconds: float | None = None
    time_weight: float = 1.0


def _speech(codes: Any, roles: Sequence[str], predict: bool) -> list[Part]:
    first, last = [Marker(r) for r in roles[:1]], [Marker(r) for r in roles[1:]]
    return [Part(segment, predict) for segment in (*first, Audio(codes), *last)]


def speech(item: TaskItem, style: Style, vocab: AudioVocab) -> list[Part]:
    """Speech alone, all of it said."""
    return _speech(item.codes, style.spoken, True)


def text(item: TaskItem, style: Style, vocab: AudioVocab) -> list[Part]:
    """Text alone, all of it said."""
    return said(Text(item.text or ""))


def speech_to_text(item: TaskItem, style: Style, vocab: AudioVocab) -> list[Part]:
    """Speech given, its words said."""
    return [*given(*style.cue), *_speech(item.codes, style.heard, False), *said(Text(item.text or ""))]


def text_to_speech(item: TaskItem, style: Style, vocab: AudioVocab) -> list[Part]:
    """Words given, the speech said, its start marker included: the model decides to speak."""
    return [*given(*style.cue, Text(item.text or "")), *_speech(item.codes, style.spoken, True)]


def interleaved(item: TaskItem, style: Style, vocab: AudioVocab) -> list[Part]:
    """Words and speech in turns, all said: stretches by aligned words where there are any, else both by ratio.

    By words each stretch of speech stands between markers. By ratio there are none, as in the papers, and generation
    counts frames from markers: what such a model goes on with is not generated or heard as audio. Sample it with
    ``model.generate`` and read the ids with ``deinterleave``, or give words and their times.

    Raises:
        FormatError: words without a frame rate.
    """
    if not item.words:
        return said(Mixed(item.text or "", item.codes, *style.ratio))
    codes = _columns(item.codes)
    if item.frame_rate is None:
        raise FormatError("interleaving by words needs the frame rate")
    seed = zlib.crc32(item.id.encode()) + (style.seed << 32)
    parts: list[Part] = []
    for run in interleave_by_words(item.words, codes.shape[1], item.frame_rate, seed=seed):
        if run.kind == "text":
            stretch = " ".join(w.text for w in item.words[run.first : run.last])
            parts += said(*(Marker(r) for r in style.written), Text(stretch))
        elif run.stop > run.start:
            parts += _speech(codes[:, run.start : run.stop], style.spoken, True)
    return parts


def speech_continuation(item: TaskItem, style: Style, vocab: AudioVocab) -> list[Part]:
    """The first seconds of speech given, the rest said."""
    codes = _columns(item.codes)
    held = codes.shape[1] // 2
    if style.prompt_seconds is not None and item.frame_rate is not None:
        held = min(round(style.prompt_seconds * item.frame_rate), codes.shape[1])
    first, last = [Marker(r) for r in style.spoken[:1]], [Marker(r) for r in style.spoken[1:]]
    return [*given(*first, Audio(codes[:, :held])), *said(Audio(codes[:, held:]), *last)]


def text_continuation(item: TaskItem, style: Style, vocab: AudioVocab) -> list[Part]:
    """A text given, another said."""
    return [*given(Text(item.text or "")), *said(Text(item.target_text or ""))]


def speech_translation(item: TaskItem, style: Style, vocab: AudioVocab) -> list[Part]:
    """Speech given, speech of another language (or an answer) said."""
    return [
        *given(*style.cue),
        *_speech(item.codes, style.heard, False),
        *_speech(item.target_codes, style.spoken, True),
    ]


def text_translation(item: TaskItem, style: Style, vocab: AudioVocab) -> list[Part]:
    """Speech given, text of another language said."""
    return [*given(*style.cue), *_speech(item.codes, style.heard, False), *said(Text(item.target_text or ""))]


def spoken_qa(item: TaskItem, style: Style, vocab: AudioVocab) -> list[Part]:
    """A spoken question given; the answer said as text, then as speech where there is any (SpeechGPT's order)."""
    answer = [] if item.target_codes is None else _speech(item.target_codes, style.spoken, True)
    return [*text_translation(item, style, vocab), *answer]


def caption(item: TaskItem, style: Style, vocab: AudioVocab) -> list[Part]:
    """Audio given, a caption said in which "1.12s" is a time token of weight ``time_weight``."""
    if vocab.timestamps is None:
        raise FormatError(f"vocabulary {vocab.name} has no timestamps: extend the model with --timestamps")
    written = caption_parts(item.target_text or "", vocab.timestamps, style.time_weight)
    return [*given(*style.cue), *_speech(item.codes, style.heard, False), *written]


def timed_text(item: TaskItem, style: Style, vocab: AudioVocab) -> list[Part]:
    """Speech given, its words said, each after the time token of its onset; the end of the last word ends it.

    Raises:
        FormatError: no word times, or a vocabulary without timestamps that reach them.
    """
    if vocab.timestamps is None:
        raise FormatError(f"vocabulary {vocab.name} has no timestamps: extend the model with --timestamps")
    if not item.words:
        raise FormatError("no word times")
    last = (vocab.timestamps.count - 1) / vocab.timestamps.per_second
    if item.words[-1].end > last:
        raise FormatError(f"words end at {item.words[-1].end:g} s, timestamps at {last:g} s")
    spoken: list[Part] = []
    for word in item.words:
        spoken += [Part(Time(word.start), True, style.time_weight), *said(Text(f" {word.text}"))]
    spoken.append(Part(Time(item.words[-1].end), True, style.time_weight))
    return [*given(*style.cue), *_speech(item.codes, style.heard, False), *spoken]


def repetition(item: TaskItem, style: Style, vocab: AudioVocab) -> list[Part]:
    """Audio 1, text 1, audio 2, text 2, ...; texts said (Voxtral, Liu et al., 2025)."""
    parts: list[Part] = []
    for one in (item, *item.following):
        mark = [Marker(style.between)] if style.between else []
        parts += [*_speech(one.codes, style.heard, False), *given(*mark), *said(Text(one.text or ""))]
    return parts


def continuation(item: TaskItem, style: Style, vocab: AudioVocab) -> list[Part]:
    """Audio 1, text 2, audio 3, text 4, ...; texts said (Voxtral, Liu et al., 2025). An odd last audio is left out.

    Raises:
        FormatError: one utterance alone.
    """
    every = [item, *item.following]
    if len(every) < 2:
        raise FormatError("no second utterance to continue with")
    parts: list[Part] = []
    for heard, written in zip(every[::2], every[1::2], strict=False):
        mark = [Marker(style.between)] if style.between else []
        parts += [*_speech(heard.codes, style.heard, False), *given(*mark), *said(Text(written.text or ""))]
    return parts


def _columns(codes: Any) -> Any:
    return codes.expand().codes if hasattr(codes, "expand") and hasattr(codes, "codebook_sizes") else codes
