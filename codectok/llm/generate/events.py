"""From token ids, as a model says them, to text and sound: pieces of each, as early as they are complete."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codectok.errors import FingerprintError, FormatError
from codectok.llm.generate.id_readers import ArrangedReader, FrameReader, TextReader
from codectok.llm.generate.sounding import AudioPiece, Sounding
from codectok.llm.patterns import Flatten, MultiRate, Pattern
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.parse import FrameParser
from codectok.llm.vocab.unit_frames import UnitReader
from codectok.tokenizer import Tokenizer


@dataclass(frozen=True)
class TextPiece:
    """Some characters."""

    text: str


Event = TextPiece | AudioPiece
__all__ = ["AudioPiece", "Event", "EventParser", "TextPiece"]


class EventParser:
    """Push ids, get events; any chunking gives the same text and the same audio.

    Audio is what stands between two markers. Flattened audio is read slot by slot: a token out of
    its slot costs its frame and is counted in ``dropped``. Codes outside the markers are counted there too.

    Args:
        vocab: of the audio tokens.
        tokenizer: for text (a transformers tokenizer); None: no text events.
        tok: for sound; None: audio events have codes only. One that is not causal gives each audio as one piece.
        pattern: of one stream.
        separator: id of the marks that end sections, as in ``AudioGrammar``.
        num_frames: of each audio, where the pattern needs to know.
        roles: of the markers that delimit audio.
        chunk_seconds: audio is decoded in pieces of at least so long; 0 decodes every frame as it comes.
        skip_special_tokens: whether text leaves out special tokens, and spells timestamps as captions do ("1.12s").
        max_frames: what an audio says beyond so many is not heard.

    Raises:
        FingerprintError: a vocabulary for another audio tokenizer.
        FormatError: codebooks that the audio tokenizer does not have.
    """

    def __init__(
        self,
        vocab: AudioVocab,
        tokenizer: Any = None,
        tok: Tokenizer | None = None,
        *,
        pattern: Pattern | None = None,
        separator: int | None = None,
        num_frames: int | None = None,
        roles: tuple[str, str] = ("begin", "end"),
        chunk_seconds: float = 0.25,
        skip_special_tokens: bool = True,
        max_frames: int | None = None,
    ) -> None:
        if tok is not None and vocab.tokenizer_fingerprint is not None and not tok.knows(vocab.tokenizer_fingerprint):
            raise FingerprintError(
                f"the vocabulary is of tokenizer {vocab.tokenizer_fingerprint}, {tok.name} is {tok.fingerprint}: "
                "load the tokenizer that the vocabulary was made for",
                wanted=vocab.tokenizer_fingerprint,
                found=tok.fingerprint,
            )
        if tok is not None and vocab.unit_sizes != tok.codebook_sizes[: len(vocab.unit_sizes)]:
            raise FormatError(f"{tok.name} has codebooks of {tok.codebook_sizes}, the vocabulary of {vocab.unit_sizes}")
        self.vocab, self.tok, self.pattern = vocab, tok, pattern or Flatten()
        self._begin, self._end = (vocab.markers.get(role) for role in roles)
        self.dropped = 0
        """Audio tokens that gave no frame, so far."""
        times = vocab.timestamps if skip_special_tokens else None
        self._text = None if tokenizer is None else TextReader(tokenizer, skip_special_tokens, times)
        self._section = (separator, num_frames)
        self._chunk_seconds = chunk_seconds
        self._reader: FrameReader | None = None  # None outside audio
        self._audio = self._new_audio()
        self._units = UnitReader(vocab)
        self._max_frames = max_frames
        self._columns = self._counted = 0  # of this audio: what its frames are said in, audio ids
        self.full = False
        """Whether the last audio reached ``max_frames``."""

    def push(self, ids: Iterable[int]) -> list[Event]:
        """Events that these ids complete."""
        events: list[Event] = []
        for id in ids:
            if id == self._begin:
                events += [*self._end_audio(), *self._end_text()]
                self._begin_audio()
            elif id == self._end:
                events += self._end_audio()
            elif self._reader is not None:
                events += self._hear(id)
            elif bool(self.vocab.layout.classify(np.array([id]))[0][0] >= 0):
                self.dropped += 1
            elif self._text is not None and (said := self._text.push(id)):
                events.append(TextPiece(said))
        return events

    def prime(self, ids: Iterable[int]) -> None:
        """Take note of a prompt without events: audio that it leaves open is continued, frame, decoder and all.

        A tokenizer that is not causal decodes an audio whole: its piece then holds the prompt's part too.
        """
        listed = list(ids)
        starts = [i for i, id in enumerate(listed) if id == self._begin]
        if starts and self._end not in listed[starts[-1] :]:
            self.push(listed[starts[-1] :])
            self._audio.skip()

    def finish(self) -> list[Event]:
        """The end of the sequence: what was held back. A frame that was never finished is dropped."""
        return [*self._end_audio(), *self._end_text()]

    def _begin_audio(self) -> None:
        flat = isinstance(self.pattern, MultiRate) or self.pattern == Flatten()
        self._reader = FrameParser(self.vocab) if flat else ArrangedReader(self.vocab, self.pattern, *self._section)
        self._audio = self._new_audio()
        self._units, self.full = UnitReader(self.vocab), False
        self._columns, self._counted = 0, 0

    def _new_audio(self) -> Sounding:
        return Sounding(self.tok, len(self.vocab.unit_sizes), self._chunk_seconds)

    def _hear(self, id: int) -> Sequence[Event]:
        assert self._reader is not None
        self._counted += bool(self.vocab.layout.classify(np.array([id]))[0][0] >= 0)
        columns = self._reader.push([id])
        self._columns += columns.shape[1]
        codes = self._units.push(columns)
        frames = self._audio.frames
        if self._max_frames is not None and frames + codes.shape[1] >= self._max_frames:
            codes, self.full = codes[:, : self._max_frames - frames], True
        return self._audio.push(codes)

    def _end_audio(self) -> list[Event]:
        if self._reader is None:
            return []
        self._reader = None
        self.dropped += self._counted - self._columns * self.vocab.num_codebooks
        return [self._audio.end()]

    def _end_text(self) -> list[Event]:
        said = "" if self._text is None else self._text.flush()
        return [TextPiece(said)] if said else []
