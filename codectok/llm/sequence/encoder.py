"""Training sequences: parts to ids, labels, loss weights and the places where a sequence may be cut; whole batches.

The same ids as ``Prompter`` gives, made for many sequences at once: the texts of a batch go through the tokenizer in
one call, its codes through the vocabulary's arithmetic in one array.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from torch import Tensor

from codectok.errors import CodeRangeError, FingerprintError, FormatError
from codectok.fingerprint import same
from codectok.llm.patterns import Fill, Flatten, Pattern
from codectok.llm.sequence.interleave import Mixed, interleave_by_ratio, ratio_places
from codectok.llm.sequence.loss_labels import IGNORE, Part, codebook_weights
from codectok.llm.sequence.ragged import Sequences
from codectok.llm.sequence.segments import Audio, AudioIds, Marker, Text, Time
from codectok.llm.sequence.text_only import TextEncoder
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.unit_frames import MergedColumns, columns_of
from codectok.tokens import Tokens


@dataclass
class _Piece:
    """Ids of one part. ``say`` and ``starts`` are one value for all or one for each token; ``unit``: tokens a frame."""

    ids: np.ndarray
    say: bool | np.ndarray
    weight: float
    unit: int | np.ndarray = 1


class SequenceEncoder:
    """Makes sequences for one text tokenizer, vocabulary and pattern.

    Args:
        vocab: the audio vocabulary.
        tokenizer: a fast Hugging Face tokenizer with the audio tokens added; None: sequences of audio alone.
        pattern: of one stream; default flattened.
        bos: begin with the tokenizer's beginning-of-sequence token; default: if it has one.
        eos: end with its end-of-sequence token, which has a label; default: if it has one.
        weights: loss weights of the codebooks (scaled to a mean of 1 a frame); default: none.
        separator: id of the end marks of section patterns; default the marker "separator".

    Raises:
        FormatError: a pattern of several streams, streams without a common frame, or a token that is not there.
    """

    def __init__(
        self,
        vocab: AudioVocab,
        tokenizer: Any = None,
        *,
        pattern: Pattern | None = None,
        bos: bool | None = None,
        eos: bool | None = None,
        weights: Iterable[float] | None = None,
        separator: int | None = None,
    ) -> None:
        self.vocab, self.tokenizer, self.pattern = vocab, tokenizer, pattern or Flatten()
        if not vocab.framed:
            raise FormatError(f"the streams of {vocab.name} have no common frame: they cannot be arranged in frames")
        self.pattern.check(vocab.num_codebooks)
        if self.pattern.streams(vocab.num_codebooks) != 1:
            raise FormatError("this pattern has several streams, a sequence has one: use flatten or sections")
        separator = vocab.markers.get("separator") if separator is None else separator
        if self.pattern.ends and separator is None:
            raise FormatError("this pattern marks the ends of its sections: add a marker with the role separator")
        self._fill = Fill() if separator is None else Fill.all(separator)
        self._text = None if tokenizer is None else TextEncoder(tokenizer, vocab)
        self._trusted = None if tokenizer is None else TextEncoder(tokenizer, vocab, allow_special=True)
        self._bos, self._eos = self._special("bos", bos), self._special("eos", eos)
        self.weights = None if weights is None else codebook_weights(weights, vocab)

    @property
    def flat(self) -> bool:
        """Whether audio stands frame after frame, so that it can be cut between any two."""
        return isinstance(self.pattern, Flatten)

    def __call__(self, parts: Sequence[Part]) -> Sequences:
        """One sequence."""
        return self.batch([parts])

    def batch(self, examples: Sequence[Sequence[Part]]) -> Sequences:
        """Sequences of these parts, in order.

        Raises:
            CodeRangeError: codes, ids or times outside the vocabulary, or a marker that it does not have.
            FingerprintError: tokens of another audio tokenizer.
            FormatError: something that is no segment, text without a tokenizer, or text that is not valid Unicode.
        """
        texts, audio = self._texts(examples), iter(self._audio(examples))
        pieces: list[_Piece] = []
        offsets, total = [0], 0
        for parts in examples:
            begin = len(pieces)
            if self._bos is not None:
                pieces.append(_Piece(self._bos, False, 1.0))
            first = True
            for part in parts:
                pieces.append(self._piece(part, first, texts, audio))
                first = first and _is_empty(part.segment)
            if self._eos is not None:
                pieces.append(_Piece(self._eos, True, 1.0))
            total += sum(len(piece.ids) for piece in pieces[begin:])
            offsets.append(total)
        return self._assemble(pieces, np.array(offsets, dtype=np.int64))

    def _assemble(self, pieces: list[_Piece], offsets: np.ndarray) -> Sequences:
        lengths = np.fromiter((len(p.ids) for p in pieces), dtype=np.int64, count=len(pieces))
        starts = np.cumsum(lengths) - lengths
        ids = np.concatenate([np.zeros(0, dtype=np.int64), *(p.ids for p in pieces)]).astype(np.int32)
        scalar = [p if isinstance(p.say, bool) else _Piece(p.ids, True, p.weight) for p in pieces]
        say = np.repeat(np.array([p.say for p in scalar], dtype=bool), lengths)
        unit = np.repeat(np.array([p.unit for p in scalar], dtype=np.int64), lengths)
        cuts = (np.arange(len(ids)) - np.repeat(starts, lengths)) % np.maximum(unit, 1) == 0
        for piece, at, n in zip(pieces, starts.tolist(), lengths.tolist(), strict=True):
            if not isinstance(piece.say, bool):
                say[at : at + n], cuts[at : at + n] = piece.say, piece.unit
        say[offsets[:-1][np.diff(offsets) > 0]] = False
        labels = np.where(say, ids, np.int32(IGNORE))
        weights = None
        if self.weights is not None or any(p.weight != 1 for p in pieces):
            weights = np.repeat(np.array([p.weight for p in pieces], dtype=np.float32), lengths)
            if self.weights is not None:
                block, _ = self.vocab.layout.classify(ids)
                weights *= np.append(self.weights, 1.0).astype(np.float32)[block]  # block -1, no code: the last one
            weights[~say] = 0
        return Sequences(ids, labels, weights, cuts, offsets)

    def _piece(self, part: Part, first: bool, texts: dict[Any, np.ndarray], audio: Any) -> _Piece:
        match part.segment:
            case Text(text, trusted):
                return _Piece(texts[text, trusted, first], part.predict, part.weight)
            case Audio() | AudioIds():
                ids = next(audio)
                unit = self.vocab.num_codebooks if self.flat and _framed(part.segment) else max(len(ids), 1)
                return _Piece(ids, part.predict, part.weight, unit)
            case Mixed() as mixed:
                return self._mixed(mixed, part, texts[mixed.text, False, first], next(audio))
            case Marker(role):
                if role not in self.vocab.markers:
                    raise CodeRangeError(
                        f"vocabulary {self.vocab.name} has no marker {role!r}; it has {', '.join(self.vocab.markers)}"
                    )
                return _Piece(np.array([self.vocab.markers[role]]), part.predict, part.weight)
            case Time(seconds):
                if self.vocab.timestamps is None:
                    raise CodeRangeError(f"vocabulary {self.vocab.name} has no timestamps")
                return _Piece(np.array([self.vocab.timestamps.id(seconds)]), part.predict, part.weight)
        raise FormatError(f"{type(part.segment).__name__} is no segment: give Text, Audio, Marker, Time or Mixed")

    def _mixed(self, mixed: Mixed, part: Part, text: np.ndarray, audio: np.ndarray) -> _Piece:
        if not self.flat:
            raise FormatError("text and speech by ratio need frames that follow each other: use the pattern flatten")
        width = self.vocab.num_codebooks
        at_text, at_frame = ratio_places(len(text), len(audio) // width, mixed.text_chunk, mixed.speech_chunk, width)
        ids = interleave_by_ratio(text, audio, mixed.text_chunk, mixed.speech_chunk, width)
        say, cuts = np.full(len(ids), part.predict), np.zeros(len(ids), dtype=bool)
        say[at_text] &= mixed.say_text
        cuts[at_text] = cuts[at_frame] = True
        return _Piece(ids, say, part.weight, cuts)

    def _texts(self, examples: Sequence[Sequence[Part]]) -> dict[Any, np.ndarray]:
        """Ids of every text of a batch, by (text, trusted, first of its sequence)."""
        wanted: dict[tuple[bool, bool], dict[str, None]] = {}
        for parts in examples:
            first = True
            for part in parts:
                segment = part.segment
                if isinstance(segment, (Text, Mixed)):
                    trusted = isinstance(segment, Text) and segment.trusted
                    wanted.setdefault((trusted, first), {})[segment.text] = None
                first = first and _is_empty(segment)
        found = {}
        for (trusted, first), texts in wanted.items():
            encoder = self._trusted if trusted else self._text
            if encoder is None:
                raise FormatError("this task has text: give a text tokenizer")
            for text, ids in zip(texts, encoder.batch(list(texts), first), strict=True):
                found[text, trusted, first] = np.array(ids, dtype=np.int64)
        return found

    def _audio(self, examples: Sequence[Sequence[Part]]) -> list[np.ndarray]:
        """Ids [N] of every audio of a batch, in order."""
        segments = [p.segment for parts in examples for p in parts if isinstance(p.segment, (Audio, AudioIds, Mixed))]
        tables = [_codes(s.codes, self.vocab) for s in segments if not isinstance(s, AudioIds) and _framed(s)]
        if not tables:
            return [self._other(s) for s in segments]
        tables = columns_of(self.vocab, tables)
        ids = np.asarray(self.vocab.ids(np.concatenate(tables, axis=1)))
        ends = np.cumsum([0, *(table.shape[1] for table in tables)])
        if self.pattern == Flatten():
            flat, width = self.vocab.flatten(ids), self.vocab.num_codebooks
            framed = iter([flat[a * width : b * width] for a, b in pairwise(ends)])
        else:
            framed = iter([self.pattern.apply(ids[:, a:b], self._fill)[0] for a, b in pairwise(ends)])
        return [next(framed) if _framed(s) else self._other(s) for s in segments]

    def _other(self, segment: Any) -> np.ndarray:
        if isinstance(segment, Audio):
            return np.asarray(self.vocab.stream_ids(segment.codebook or 0, np.asarray(segment.codes)))
        table = np.asarray(segment.ids).astype(np.int64)
        if table.ndim != 1 or not self.vocab.owns(table).all():
            raise CodeRangeError(f"ids of shape {list(table.shape)} are not all of vocabulary {self.vocab.name}")
        return table

    def _special(self, name: str, wanted: bool | None) -> np.ndarray | None:
        found = getattr(self.tokenizer, f"{name}_token_id", None)
        if found is None and wanted:
            raise FormatError(f"the text tokenizer has no {name} token: leave it out")
        return None if found is None or wanted is False else np.array([int(found)])


def _is_empty(segment: Any) -> bool:
    return isinstance(segment, Text) and not segment.text


def _framed(segment: Any) -> bool:
    return not isinstance(segment, AudioIds) and getattr(segment, "codebook", None) is None


def _codes(codes: Any, vocab: AudioVocab) -> np.ndarray:
    """Codes [K, T], or columns that are merged already."""
    if isinstance(codes, MergedColumns) and vocab.transform is not None and len(codes) == vocab.num_codebooks:
        return codes
    if isinstance(codes, Tokens):
        if vocab.tokenizer_fingerprint is not None and not same(vocab.tokenizer_fingerprint, codes.fingerprint):
            raise FingerprintError(
                f"these tokens are of tokenizer {codes.fingerprint}, the vocabulary is of "
                f"{vocab.tokenizer_fingerprint}: encode the audio with that one",
                wanted=vocab.tokenizer_fingerprint,
                found=codes.fingerprint,
            )
        codes = codes.codes if vocab.transform is None else codes.expand().codes
    table = codes.numpy() if isinstance(codes, Tensor) else np.asarray(codes)
    if table.ndim != 2 or len(table) != len(vocab.unit_sizes):
        raise CodeRangeError(
            f"codes of shape {list(table.shape)}: a segment is one utterance, [{len(vocab.unit_sizes)}, T]"
        )
    return table
