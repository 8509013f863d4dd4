"""Pattern: an exact, invertible arrangement of codes [K, T] into the steps of a language model.

A pattern is two integer tables, made by arithmetic on the step number: which codebook and which frame stand in each
cell of [S streams, steps]. The index grid, the gather that applies it, the scatter that inverts it, the streaming
inverse and the masks of constrained decoding all follow from those two tables.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch

from codectok.errors import CodeRangeError, FormatError
from codectok.llm.patterns.cells import Array, Cell, Fill, gather, scatter

Frames = int | np.ndarray
"""Number of frames T: one, or one for each step asked about."""
UNKNOWN = 1 << 40
"""Stands for a T that is not known yet."""


class Pattern(abc.ABC):
    """Base of all patterns. Subclasses are frozen dataclasses: hashable, equal by value.

    Letters in the grids of the docstrings: ``b3`` is codebook 1 at frame 3, ``^`` start, ``.`` blank, ``$`` end,
    ``_`` pad (see :class:`~codectok.llm.patterns.cells.Cell`).
    """

    needs_length: ClassVar[bool] = False
    """Whether the place of a code depends on the number of frames, so that a stream must know it."""
    ends: bool = False
    """Whether each stream marks its end, by an END cell right after its last code."""

    @abc.abstractmethod
    def streams(self, num_codebooks: int) -> int:
        """S, the rows of the grid: 1 for a pattern that a plain language model can read."""

    @abc.abstractmethod
    def length(self, num_frames: int, num_codebooks: int) -> int:
        """Steps that T frames of K codebooks take."""

    @abc.abstractmethod
    def cells(
        self, steps: np.ndarray, num_codebooks: int, num_frames: Frames | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Codebook and frame of the cells at some steps: int64 [S, n] each, for int64 [n] ``steps``.

        Codebook -1 is a blank cell; a frame below 0 lies before the stream's start, from T on after its end.
        ``num_frames`` None is a T not known yet: everything lies before the end.
        """

    def known_frames(self, num_frames: int) -> int:
        """Of T frames arranged, those that the arrangement holds completely: T, unless the pattern cuts its tail."""
        return num_frames

    def check(self, num_codebooks: int) -> None:
        """Raise if this pattern cannot arrange that many codebooks.

        Raises:
            FormatError: it cannot.
        """
        if num_codebooks < 1:
            raise FormatError(f"{num_codebooks} codebooks cannot be arranged: give 1 or more")

    def grid(self, num_frames: int, num_codebooks: int) -> np.ndarray:
        """The index table, int64 [S, steps]: ``k * T + t`` of each code, or a :class:`Cell` where there is none."""
        self.check(num_codebooks)
        steps = np.arange(self.length(num_frames, num_codebooks))
        book, frame = self.cells(steps, num_codebooks, num_frames)
        after = np.where((frame == num_frames) & self.ends, Cell.END, Cell.PAD)
        inside = np.where(frame < num_frames, book * num_frames + frame, after)
        return np.where(book < 0, Cell.BLANK, np.where(frame < 0, Cell.START, inside)).astype(np.int64)

    def frames(self, num_steps: int, num_codebooks: int) -> int:
        """The number of frames T whose length is ``num_steps`` (the largest one, where several are).

        Raises:
            FormatError: no number of frames makes that many steps.
        """
        low, high = 0, num_steps + 1  # length(T) >= T / group size, never above this many frames a step
        while self.length(high, num_codebooks) <= num_steps:
            high *= 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.length(middle, num_codebooks) <= num_steps else (low, middle)
        if self.length(low, num_codebooks) != num_steps:
            raise FormatError(
                f"{num_steps} steps are no whole number of frames of {num_codebooks} codebooks in this pattern "
                f"({self.length(low, num_codebooks)} or {self.length(low + 1, num_codebooks)} would be): "
                "the sequence was cut; read it by StreamInverse, which keeps the complete frames"
            )
        return low

    def apply(self, codes: Array, fill: Fill | None = None) -> Array:
        """Arrange codes [..., K, T] into steps [..., S, steps]; numpy or torch, any integer type, any batch.

        Args:
            codes: codes, or token ids, one for each codebook and frame.
            fill: ids of the cells without a code; default the negative numbers of ``Cell``.
        """
        if codes.ndim < 2:
            raise FormatError(f"codes of shape {list(codes.shape)}: expected [..., K, T]")
        return gather(codes, self.grid(codes.shape[-1], codes.shape[-2]), fill or Fill())

    def inverse(
        self, steps: Array, num_codebooks: int, *, num_frames: int | None = None, sizes: Sequence[int] | None = None
    ) -> Array:
        """The exact inverse of ``apply``: [..., S, steps] -> [..., K, T].

        Args:
            steps: a complete arrangement. What was generated and may be cut short goes through ``StreamInverse``.
            num_codebooks: K.
            num_frames: T; default the T that has this many steps.
            sizes: codebook sizes, to check the codes against; default: only that none is negative.

        Raises:
            FormatError: a shape that this pattern does not make.
            CodeRangeError: a start, end or pad mark (or any other id that is no code) where a code should stand.
        """
        self.check(num_codebooks)
        if steps.ndim < 2 or steps.shape[-2] != self.streams(num_codebooks):
            raise FormatError(
                f"steps of shape {list(steps.shape)}: expected [..., {self.streams(num_codebooks)}, steps] "
                f"for {num_codebooks} codebooks"
            )
        if num_frames is None:
            num_frames = self.frames(steps.shape[-1], num_codebooks)
        elif self.length(num_frames, num_codebooks) != steps.shape[-1]:
            raise FormatError(
                f"{num_frames} frames take {self.length(num_frames, num_codebooks)} steps, {steps.shape[-1]} given"
            )
        grid, kept = self.grid(num_frames, num_codebooks), self.known_frames(num_frames)
        if kept < num_frames:  # a cut tail: address only the frames that are all there
            book, frame = np.divmod(grid, max(num_frames, 1))
            grid = np.where((grid >= 0) & (frame < kept), book * kept + frame, Cell.PAD)
        codes = scatter(steps, grid, num_codebooks, kept)
        check_codes(codes, sizes)
        return codes

    def draw(self, num_frames: int, num_codebooks: int) -> str:
        """The grid as text: one line a stream, letters for codebooks, numbers for frames."""
        marks = {Cell.START: "^", Cell.BLANK: ".", Cell.END: "$", Cell.PAD: "_"}
        letters = [chr(97 + k) if num_codebooks <= 26 else f"{k}:" for k in range(num_codebooks)]
        rows = [
            [f"{letters[c // num_frames]}{c % num_frames}" if c >= 0 else marks[Cell(c)] for c in row]
            for row in self.grid(num_frames, num_codebooks).tolist()
        ]
        width = max((len(c) for row in rows for c in row), default=1)
        return "\n".join(" ".join(c.ljust(width) for c in row).rstrip() for row in rows)


def check_codes(codes: Array, sizes: Sequence[int] | None) -> None:
    """Raise unless every code [..., K, T] lies in its codebook (or, without sizes, is not negative)."""
    if 0 in codes.shape:
        return
    if sizes is None:
        bad = codes < 0
    elif isinstance(codes, np.ndarray):
        bad = (codes < 0) | (codes >= np.asarray(sizes)[:, None])
    else:
        bad = (codes < 0) | (codes >= torch.as_tensor(list(sizes), device=codes.device)[:, None])
    if bool(bad.any()):
        at = tuple(int(i[0]) for i in (np.nonzero(bad) if isinstance(bad, np.ndarray) else bad.nonzero(as_tuple=True)))
        raise CodeRangeError(
            f"{int(codes[at])} stands where a code of codebook {at[-2]} at frame {at[-1]} should: not an arrangement "
            "of complete frames; read it by StreamInverse, which knows end marks",
            code=int(codes[at]),
            size=None if sizes is None else int(sizes[at[-2]]),
            codebook=at[-2],
        )
