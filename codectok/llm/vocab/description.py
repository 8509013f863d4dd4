"""What a vocabulary declares: the fields of ``AudioVocab``, and where they put the codes among the ids."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from codectok.llm.vocab.id_layout import Layout
from codectok.llm.vocab.tags import Mark, TimeTags
from codectok.transforms.unit_transform import UnitTransform


@dataclass(frozen=True)
class VocabDescription:
    """The fields, unchecked; :class:`codectok.llm.vocab.audio_vocab.AudioVocab` says what each is."""

    name: str
    codebook_sizes: tuple[int, ...]
    base_id: int
    templates: tuple[str, ...] = ("<|audio_{k}_{c}|>",)
    first_number: int = 0
    order: str = "codebook-major"
    reserved: int = 0
    slots: tuple[int, ...] = ()
    shared: bool = False
    framed: bool = True
    marks: tuple[Mark, ...] = ()
    timestamps: TimeTags | None = None
    pad_multiple: int = 1
    tokenizer_fingerprint: str | None = None
    transform: UnitTransform | None = None

    def __post_init__(self) -> None:
        for field in ("codebook_sizes", "templates", "slots", "marks"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        if not self.slots:
            object.__setattr__(self, "slots", tuple(range(len(self.codebook_sizes))))

    @cached_property
    def layout(self) -> Layout:
        """The arithmetic behind ``ids`` and ``codes``."""
        blocks = self.slots if self.shared else tuple(range(self.num_codebooks))
        return Layout(self.base_id, self.codebook_sizes, blocks, self.order, self.reserved)

    @property
    def unit_sizes(self) -> tuple[int, ...]:
        """Of the audio tokenizer's codebooks, which BPE makes one of."""
        return self.codebook_sizes if self.transform is None else self.transform.codebook_sizes

    @property
    def num_codebooks(self) -> int:
        """K, the rows of a code matrix."""
        return len(self.codebook_sizes)

    @property
    def size(self) -> int:
        """Ids that the codes span: base_id .. base_id + size - 1, those that carry no code included."""
        return self.layout.span

    @cached_property
    def end_id(self) -> int:
        """One more than the highest id."""
        ends = [self.base_id + self.size, *(mark.id + 1 for mark in self.marks)]
        return max([*ends, self.timestamps.base_id + self.timestamps.count] if self.timestamps else ends)

    @cached_property
    def markers(self) -> dict[str, int]:
        """Ids of all markers and tags by role."""
        return {mark.role: mark.id for mark in self.marks}

    @cached_property
    def id_mask(self) -> np.ndarray:
        """Bool [end_id]: True for every id that is this vocabulary's: codes, free ids between them, marks, times."""
        mask = np.zeros(self.end_id, dtype=bool)
        mask[self.base_id : self.base_id + self.size] = True
        mask[[mark.id for mark in self.marks] or slice(0)] = True
        if self.timestamps:
            mask[self.timestamps.base_id : self.timestamps.base_id + self.timestamps.count] = True
        return mask

    def owns(self, ids: np.ndarray | Tensor) -> np.ndarray:
        """Bool, same shape: which ids are this vocabulary's. A closed range: ids added after it are not."""
        table = np.asarray(ids)
        return self.id_mask[np.clip(table, 0, self.end_id - 1)] & (table >= 0) & (table < self.end_id)
