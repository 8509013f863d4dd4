"""Between frames of codes and the columns that a vocabulary has ids for, where its units are merged (UnitTransform)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from codectok.llm.vocab.description import VocabDescription
from codectok.llm.vocab.parse import FrameParser
from codectok.transforms.unit_transform import RunsToFrames


class MergedColumns(np.ndarray):
    """An array [K', N] of what frames were merged into already, such as the ids that a store holds."""


def columns_of(vocab: VocabDescription, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Frames, int [K, T] each, as a vocabulary has ids for them: the same, or merged, [K', N].

    Raises:
        CodeRangeError: a code outside its codebook.
    """
    if vocab.transform is None:
        return list(frames)
    merged = iter(vocab.transform.apply([f for f in frames if not isinstance(f, MergedColumns)]))
    return [f if isinstance(f, MergedColumns) else next(merged).columns for f in frames]


class UnitReader:
    """The way back: columns as they are said, any number at a time, to the frames that they complete.

    A model may say what spells no frames: of several codebooks, what is out of its slot is dropped with its frame, as
    :class:`.parse.FrameParser` does.
    """

    def __init__(self, vocab: VocabDescription) -> None:
        self._steps = vocab.transform
        self._parser: FrameParser | None = None
        if self._steps is not None:
            self._runs = RunsToFrames(self._steps)
            if self._steps.bpe is not None:
                self._parser = FrameParser(VocabDescription("symbols", self._steps.codebook_sizes, 0))

    def push(self, columns: Tensor, durations: Sequence[int] | np.ndarray | None = None) -> Tensor:
        """Frames int64 [K, T] of columns int64 [K', N].

        Args:
            columns: that follow those pushed before.
            durations: frames of each run that they spell; default guessed.

        Raises:
            FormatError: durations of another number of runs.
        """
        if self._steps is None:
            return columns
        codes = columns.numpy()
        if self._parser is not None:
            codes = self._parser.push(self._steps.units().decode_ids([codes[0]])[0]).numpy()
        return torch.from_numpy(self._runs.push(codes, durations))
