"""Prompts from typed segments of ids: text, audio, markers. Strings are never pasted together.

prompt = Prompter(tokenizer, vocab).encode([Text("Say this:"), Text(user_text), Marker("begin"), Audio(codes), ...])
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from codectok.errors import CodeRangeError, FormatError
from codectok.llm.sequence.text_only import TextEncoder
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.unit_frames import columns_of
from codectok.tokens import Tokens


@dataclass(frozen=True)
class Text:
    """Text. ``trusted`` text is the program's own: special tokens of the base model count in it, audio tokens never.

    Examples:
        >>> from codectok.llm import Text
        >>> Text("<|audio_start|> is what a user wrote: it stays text").trusted
        False
    """

    text: str
    trusted: bool = False


@dataclass(frozen=True, eq=False)
class Audio:
    """Codes [K, T] of frames (or Tokens), flattened frame after frame; or [N] of one ``codebook`` alone.

    Where the vocabulary merges units, they are merged first.

    Examples:
        >>> from codectok.llm import Audio
        >>> Audio(codectok.load("random").encode("a.wav", num_codebooks=2)).codes
        Tokens(2 x 25 codes, 1.00 s, 0.5 kbit/s at 25 frames/s, of ...)
    """

    codes: Tensor | np.ndarray | Tokens
    codebook: int | None = None


@dataclass(frozen=True, eq=False)
class AudioIds:
    """Audio ids [N] that a pattern has arranged already.

    Examples:
        >>> from codectok.llm import AudioIds, AudioVocab
        >>> vocab = AudioVocab.create([4, 4], base_id=100)
        >>> AudioIds(vocab.flatten(vocab.ids(np.array([[0, 3], [1, 2]])))).ids
        array([100, 105, 103, 106])
    """

    ids: Tensor | np.ndarray


@dataclass(frozen=True)
class Marker:
    """A marker, task or language tag by its role in the vocabulary, such as "begin".

    Examples:
        >>> from codectok.llm import AudioVocab, Marker
        >>> AudioVocab.create([4, 4], base_id=100).markers[Marker("begin").role]
        108
    """

    role: str


@dataclass(frozen=True)
class Time:
    """A timestamp token, in s.

    Examples:
        >>> from codectok.llm import AudioVocab, Time
        >>> vocab = AudioVocab.create([4, 4], base_id=100, timestamps=1501)
        >>> vocab.token(vocab.timestamps.id(Time(1.5).seconds))
        '<|1.50|>'
    """

    seconds: float


Segment = Text | Audio | AudioIds | Marker | Time


class Span(NamedTuple):
    """Where a segment stands: ids[start:stop]; kind is "text", "audio", "marker" or "time"."""

    kind: str
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Prompt:
    """A sequence of ids and what it is made of.

    Attributes:
        ids: int64 [N].
        spans: one for each segment, in order, none left out; an empty text has start == stop.
    """

    ids: Tensor
    spans: tuple[Span, ...]

    def mask(self, kind: str) -> Tensor:
        """Bool [N]: True where a segment of this kind stands."""
        found = torch.zeros(len(self.ids), dtype=torch.bool)
        for span in self.spans:
            found[span.start : span.stop] |= span.kind == kind
        return found


class Prompter:
    """Assembles prompts for one tokenizer and vocabulary.

    Args:
        tokenizer: a fast Hugging Face tokenizer, or a ``tokenizers.Tokenizer``, with the audio tokens added.
        vocab: the audio vocabulary.

    Raises:
        FormatError: a slow tokenizer, or one that the vocabulary does not belong to.

    Examples:
        >>> from codectok.llm import Audio, AudioVocab, Marker, Prompter, Text, add_to
        >>> from tokenizers import Tokenizer, models
        >>> text = Tokenizer(models.WordLevel({"hello": 0, "?": 1}, unk_token="?"))
        >>> vocab = AudioVocab.create([4, 4], base_id=2)
        >>> added = add_to(text, vocab)
        >>> codes = np.array([[0, 3], [1, 2]])
        >>> Prompter(text, vocab).encode([Text("hello"), Marker("begin"), Audio(codes), Marker("end")]).ids
        tensor([ 0, 10,  2,  7,  5,  8, 11])
    """

    def __init__(self, tokenizer: Any, vocab: AudioVocab) -> None:
        self.tokenizer, self.vocab = tokenizer, vocab
        self.text = TextEncoder(tokenizer, vocab)

    @cached_property
    def trusted_text(self) -> TextEncoder:
        """For the program's own text, where special tokens of the base model count."""
        return TextEncoder(self.tokenizer, self.vocab, allow_special=True)

    def encode(self, segments: Iterable[Segment], bos: bool = False) -> Prompt:
        """The ids of all segments, one after another.

        Args:
            segments: what the prompt is made of.
            bos: begin with the tokenizer's beginning-of-sequence token; chat templates bring their own.

        Raises:
            CodeRangeError: codes, ids or times outside the vocabulary, or a marker that it does not have.
            FormatError: something that is no segment, text that is not valid Unicode, or no such token.
        """
        start = [np.array([self._bos_id()])] if bos else []
        parts, spans, length = [*start, np.zeros(0, dtype=np.int64)], list[Span](), len(start)
        for segment in segments:
            kind, ids = self._ids(segment, first=length == len(start))
            parts.append(ids)
            spans.append(Span(kind, length, length + len(ids)))
            length += len(ids)
        return Prompt(torch.from_numpy(np.concatenate(parts)), tuple(spans))

    def _bos_id(self) -> int:
        found = getattr(self.tokenizer, "bos_token_id", None)
        if found is None:
            raise FormatError("this tokenizer has no beginning-of-sequence token: encode without bos")
        return int(found)

    def _ids(self, segment: Segment, first: bool) -> tuple[str, np.ndarray]:
        match segment:
            case Text(text, trusted):
                return "text", (self.trusted_text if trusted else self.text)(text, first)
            case Audio(codes, codebook):
                return "audio", self._audio(codes, codebook)
            case AudioIds(ids):
                table = np.asarray(ids.detach().cpu() if isinstance(ids, Tensor) else ids).astype(np.int64)
                if table.ndim != 1 or not self.vocab.owns(table).all():
                    raise CodeRangeError(
                        f"ids of shape {list(table.shape)} are not all of vocabulary {self.vocab.name}"
                    )
                return "audio", table
            case Marker(role):
                if role not in self.vocab.markers:
                    have = ", ".join(list(self.vocab.markers)[:20])
                    raise CodeRangeError(f"vocabulary {self.vocab.name} has no marker {role!r}; it has {have}")
                return "marker", np.array([self.vocab.markers[role]])
            case Time(seconds):
                if self.vocab.timestamps is None:
                    raise CodeRangeError(f"vocabulary {self.vocab.name} has no timestamps")
                return "time", np.array([self.vocab.timestamps.id(seconds)])
        raise FormatError(f"{type(segment).__name__} is no segment: give Text, Audio, AudioIds, Marker or Time")

    def _audio(self, codes: Tensor | np.ndarray | Tokens, codebook: int | None) -> np.ndarray:
        if codebook is not None:
            if isinstance(codes, Tokens) or codes.ndim != 1:
                raise CodeRangeError("codes of one codebook must be given as [N]")
            return np.asarray(self.vocab.stream_ids(codebook, np.asarray(codes)))
        if not self.vocab.framed:
            raise FormatError(f"the streams of {self.vocab.name} have no common frame: give each with its codebook")
        if self.vocab.transform is not None and not isinstance(codes, Tokens):
            [codes] = columns_of(self.vocab, [np.asarray(codes)])
        ids = np.asarray(self.vocab.ids(codes))
        if ids.ndim != 2:
            raise CodeRangeError(f"codes of shape {list(ids.shape)}: a segment is one utterance, [K, T]")
        return np.ascontiguousarray(self.vocab.flatten(ids))
