"""Constrained generation for one stream: which token ids may come next, read off the ids so far.

A grammar keeps no state. Where a sequence stands follows from its ids: after the last start marker without an end
marker it speaks audio, and the number of ids since then is the step of the pattern, hence the codebook in turn. So one
object serves any batch, beam search, left padding, a prompt that stops within a frame, and re-use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.llm.patterns import Flatten, Pattern
from codectok.llm.patterns.pattern import UNKNOWN

if TYPE_CHECKING:
    from codectok.llm.vocab.audio_vocab import AudioVocab
    from codectok.transforms.unit_bpe import UnitBPE

NOTHING = -1
"""No further id is allowed beside the row's."""


def ids_in_text(vocab: AudioVocab) -> tuple[int, ...]:
    """Ids of the vocabulary that stand within text: timestamps and language tags."""
    times = vocab.timestamps
    languages = [mark.id for mark in vocab.marks if mark.kind == "language"]
    return (*languages, *(range(times.base_id, times.base_id + times.count) if times else ()))


@dataclass(frozen=True)
class AudioGrammar:
    """What may be said: text, a start marker, complete frames in the order of the pattern, an end marker, text.

    Args:
        vocab: of the audio tokens, with a common frame.
        pattern: a pattern of one stream.
        text_size: ids from here on are padded rows of the model, never said: ``len(tokenizer)``. Default: the first id
            of the vocabulary, which leaves text added after the audio tokens unsaid.
        num_frames: the exact number of frames of each audio; for section patterns without end marks.
        min_frames: an audio has at least as many,
        max_frames: and at most as many. The limits hold for each audio, prompted frames included.
        speak: whether text may go over to audio.
        also: further ids allowed in text that the vocabulary owns, such as ``ids_in_text(vocab)``.
        separator: id that ends each section, for section patterns with ``ends=True``; default the marker ``separator``.
        roles: of the markers that delimit audio (LLaSA: ``speech_generation_start`` and ``speech_generation_end``).

    Raises:
        FormatError: a pattern of several streams, a vocabulary without markers, or limits that cannot hold.
    """

    vocab: AudioVocab
    pattern: Pattern = field(default_factory=Flatten)
    text_size: int | None = None
    num_frames: int | None = None
    min_frames: int = 0
    max_frames: int | None = None
    speak: bool = True
    also: tuple[int, ...] = ()
    separator: int | None = None
    roles: tuple[str, str] = ("begin", "end")

    def __post_init__(self) -> None:
        object.__setattr__(self, "also", tuple(self.also))
        object.__setattr__(self, "roles", tuple(self.roles))
        if not self.vocab.framed:
            raise FormatError(f"the streams of {self.vocab.name} have no common frame: there is no slot to count")
        self.pattern.check(self.codebooks)
        if self.pattern.streams(self.codebooks) != 1:
            raise FormatError("this pattern has several streams: constrain a model with several heads by StreamGrammar")
        if not set(self.roles) <= set(self.vocab.markers):
            raise FormatError(
                f"the vocabulary has no markers {' and '.join(self.roles)} to count from: name two of "
                f"{', '.join(self.vocab.markers) or 'none'} as roles"
            )
        if self.pattern.ends and self.separator is None:
            if "separator" not in self.vocab.markers:
                raise FormatError("this pattern marks the ends of its sections: give the id of a separator")
            object.__setattr__(self, "separator", self.vocab.markers["separator"])
        if self._bpe is not None and self.pattern != Flatten():
            raise FormatError("BPE ids stand one after the other: use the pattern flatten")
        if self.pattern.needs_length and not self.pattern.ends and self.num_frames is None:
            raise FormatError("the order of codes in this pattern depends on the number of frames: give num_frames")
        if self.num_frames is not None:
            object.__setattr__(self, "min_frames", self.num_frames)
            object.__setattr__(self, "max_frames", self.num_frames)
        if self.max_frames is not None and not 0 <= self.min_frames <= self.max_frames:
            raise FormatError(f"{self.min_frames} to {self.max_frames} frames: the limits cannot both hold")

    @property
    def codebooks(self) -> int:
        """K, the rows of a code matrix: of BPE ids, of the codes that they spell."""
        return len(self.vocab.unit_sizes) if self._bpe is not None else self.vocab.num_codebooks

    @cached_property
    def _bpe(self) -> UnitBPE | None:
        steps = self.vocab.transform
        return None if steps is None or steps.bpe is None else steps.units()

    @cached_property
    def _spelled(self) -> Tensor:
        """Codes that each id spells, int64 [end_id]."""
        counts = torch.ones(self.vocab.end_id, dtype=torch.int64)
        if self._bpe is not None:
            counts[torch.from_numpy(self.vocab.stream_ids(0, np.arange(self._bpe.vocab_size)))] = torch.from_numpy(
                self._bpe.heads[1]
            )
        return counts

    @property
    def begin(self) -> int:
        """Id of the start marker."""
        return self.vocab.markers[self.roles[0]]

    @property
    def end(self) -> int:
        """Id of the end marker."""
        return self.vocab.markers[self.roles[1]]

    def lists(self) -> list[list[int]]:
        """The static allow-list: ids of each codebook's turn, K lists in the order of rows, then those of text."""
        return [np.flatnonzero(row).tolist() for row in self.table(max(self.vocab.end_id, self.text_size or 0))[:-1]]

    def table(self, size: int) -> np.ndarray:
        """Bool [K + 2, size]: ids of each codebook's turn, of text, and of neither, for a model of ``size`` rows."""
        if self.vocab.end_id > size:
            raise FormatError(f"the model has {size} rows, the audio tokens need {self.vocab.end_id}: extend it first")
        table = np.zeros((self.codebooks + 2, size), dtype=bool)
        for k, n in enumerate(self.vocab.codebook_sizes):
            rows = k if self._bpe is None else self._bpe.heads[0]
            table[rows, self.vocab.stream_ids(k, np.arange(n))] = True
        text = table[self.codebooks]
        text[: self.vocab.base_id if self.text_size is None else min(size, self.text_size)] = True
        text[: len(self.vocab.id_mask)] &= ~self.vocab.id_mask
        if self.separator is not None:
            text[self.separator] = False
        text[list(self.also)] = True
        text[self.begin] = self.speak
        return table

    def state(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Where sequences [B, L] stand: a row of ``table`` each, int64 [B], and one more id or NOTHING, int64 [B]."""
        place = torch.arange(1, ids.shape[1] + 1, device=ids.device)
        last = (torch.stack([ids == self.begin, ids == self.end]) * place).amax(-1)  # [2, B], 0 where there is none
        spoken = ids.shape[1] - last[0]
        if self._bpe is not None:
            counts = self._spelled.to(ids.device)[ids.clamp(max=self.vocab.end_id - 1)]
            spoken = (counts * (place > last[0, :, None])).sum(1)
        total = torch.full_like(spoken, UNKNOWN if self.num_frames is None else self.num_frames)
        if self.pattern.ends and self.num_frames is None:
            gone = (ids == self.separator) & (place > last[0, :, None])
            first = torch.where(gone.any(1), gone.int().argmax(1) - last[0], -1)  # the step of the first separator
            _, frame = self.pattern.cells(first.cpu().numpy().clip(0), self.codebooks, UNKNOWN)
            total = torch.where(first >= 0, torch.from_numpy(frame[0]).to(ids.device), total)
        row, extra = self._turn(spoken.cpu().numpy(), total.cpu().numpy())
        audio = (last[0] > last[1]).cpu().numpy()
        row = np.where(audio, row, self.codebooks)
        return torch.from_numpy(row), torch.from_numpy(np.where(audio, extra, NOTHING))

    def _turn(self, step: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row and further id at some steps [B] of audios of ``total`` frames [B] (UNKNOWN where not said yet)."""
        book, frame = (x[0] for x in self.pattern.cells(step, self.codebooks, total))
        silent = self.codebooks + 1
        most = UNKNOWN if self.max_frames is None else self.max_frames
        unknown = total == UNKNOWN
        if self.pattern.needs_length:
            width = self._first_section
            mark = NOTHING if self.separator is None else self.separator
            whole = unknown & (step == frame * width)  # between two frames of the first section
            may, must = whole & (frame >= self.min_frames), (whole & (frame >= most)) | (~unknown & (frame >= total))
            over = ~unknown & (step >= self.pattern.length(total, self.codebooks))  # type: ignore[arg-type]
            return np.where(must | over, silent, book), np.where(over, self.end, np.where(may | must, mark, NOTHING))
        whole = step == self.pattern.length(frame, self.codebooks)
        may, must = whole & (frame >= self.min_frames), whole & (frame >= most)
        return np.where(must, silent, book), np.where(may, self.end, NOTHING)

    @property
    def _first_section(self) -> int:
        """Codes of one frame in the first section."""
        book, _ = self.pattern.cells(np.arange(self.codebooks), self.codebooks)
        return len(set(book[0].tolist()))
