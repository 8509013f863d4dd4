"""Readers of ids as a model says them: frames of an audio, characters of a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from codectok.llm.patterns import Fill, Pattern, StreamInverse
from codectok.llm.sequence.captions import spell
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.tags import TimeTags


class FrameReader(Protocol):
    """Ids of one audio in, the frames that they complete out."""

    def push(self, ids: Sequence[int]) -> Tensor:
        """Codes int64 [K, n]."""
        ...


class ArrangedReader:
    """Frames of a pattern with sections or an order of its own; ids that do not fit are an error."""

    def __init__(self, vocab: AudioVocab, pattern: Pattern, separator: int | None, num_frames: int | None) -> None:
        fill = Fill() if separator is None else Fill.all(separator)
        self._vocab = vocab
        self._inverse = StreamInverse(pattern, vocab.num_codebooks, fill=fill, num_frames=num_frames)

    def push(self, ids: Sequence[int]) -> Tensor:
        """Codes int64 [K, n] of the frames that these ids complete."""
        return self._vocab.codes(self._inverse.push(np.array([list(ids)], dtype=np.int64)))


class TextReader:
    """Text of ids as they come: what a later id could still change (half a character) is held back.

    Args:
        tokenizer: a transformers tokenizer.
        skip_special_tokens: whether to leave them out.
        times: timestamps to spell as captions do: "1.12s".
    """

    def __init__(self, tokenizer: Any, skip_special_tokens: bool = True, times: TimeTags | None = None) -> None:
        self._times = times
        self._decode: Callable[[Sequence[int]], str]
        self._decode = lambda ids: tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)
        self._ids: list[int] = []
        self._from = self._upto = 0  # ids [from, upto) are said, and decoded again as the context of what follows

    def push(self, id: int) -> str:
        """The characters that became certain."""
        if self._times is not None and self._times.seconds(id) is not None:
            return self.flush() + spell(id, self._times)  # earlier text stays the context, for a space that follows
        self._ids.append(id)
        return self._more(final=False)

    def flush(self) -> str:
        """The rest."""
        return self._more(final=True)

    def _more(self, final: bool) -> str:
        said, text = self._decode(self._ids[self._from : self._upto]), self._decode(self._ids[self._from :])
        if len(text) <= len(said) or (text.endswith("\ufffd") and not final):
            return ""
        self._from, self._upto = self._upto, len(self._ids)
        return text[len(said) :]
