"""Constrained generation for several streams: logits [B, S, V] of a model with a head a stream.

As for one stream, nothing is remembered: what each stream may say next follows from the pattern and the steps so far.
The utterance ends where a stream opens a new frame with the end id; every other stream then completes the frames before
it (the delay tail), ends at the same frame, and pads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.llm.patterns import Fill, Pattern, StreamInverse
from codectok.llm.patterns.pattern import UNKNOWN

START, BLANK, END, PAD = 1, 2, 3, 4  # columns of Fill.table


@dataclass(frozen=True)
class StreamGrammar:
    """What each stream may say at each step.

    Args:
        pattern: of any number of streams.
        sizes: codebook sizes, K of them; they may differ (a text stream).
        fill: ids of the cells without a code, outside every codebook. Default ``Fill.after(max(sizes))``.
        num_frames: the exact number of frames; needed where the pattern marks no ends.
        min_frames: at least as many,
        max_frames: and at most as many.

    Raises:
        FormatError: a pattern that could not end, limits that cannot hold, or an end id that is a code.
    """

    pattern: Pattern
    sizes: tuple[int, ...]
    fill: Fill | None = None
    num_frames: int | None = None
    min_frames: int = 0
    max_frames: int | None = None

    def __post_init__(self) -> None:
        if self.fill is None:
            object.__setattr__(self, "fill", Fill.after(max(self.sizes)))
        if self.num_frames is None and not self.pattern.ends:
            raise FormatError("this pattern marks no ends: give num_frames, or use it with ends=True")
        if self.max_frames is not None and not 0 <= self.min_frames <= self.max_frames:
            raise FormatError(f"{self.min_frames} to {self.max_frames} frames: the limits cannot both hold")
        self.inverse()  # checks the fill against the sizes

    @property
    def streams(self) -> int:
        """S, the heads that the model needs."""
        return self.pattern.streams(len(self.sizes))

    @property
    def width(self) -> int:
        """V, ids of a head: the largest codebook and the fill."""
        return max(max(self.sizes), int(self._fill.max()) + 1)

    @property
    def _fill(self) -> np.ndarray:
        assert self.fill is not None
        return self.fill.table(self.streams)

    def inverse(self) -> StreamInverse:
        """A streaming inverse for one sequence of this grammar."""
        return StreamInverse(
            self.pattern, len(self.sizes), sizes=self.sizes, fill=self.fill, num_frames=self.num_frames
        )

    def frames(self, history: Tensor) -> Tensor:
        """Frames of each sequence of steps [B, S, n], int64 [B]; UNKNOWN where no end was said yet."""
        total = torch.full(history.shape[:1], UNKNOWN if self.num_frames is None else self.num_frames)
        if self.num_frames is None and history.shape[2]:
            book, frame = self.pattern.cells(np.arange(history.shape[2]), len(self.sizes))
            said = history.cpu().numpy() == self._fill[:, END, None]
            at = np.where(said & (book >= 0) & (frame >= 0), frame, UNKNOWN)
            first = (at < UNKNOWN).any(1).argmax(1)  # later marks of section patterns stand in other places
            total = torch.from_numpy(at[np.arange(len(at)), :, first].min(1))
        return total

    def finished(self, history: Tensor) -> Tensor:
        """Whether each sequence of steps [B, S, n] is complete, bool [B]."""
        steps = history.shape[2]
        return torch.tensor(
            [t < UNKNOWN and steps >= self.pattern.length(t, len(self.sizes)) for t in self.frames(history).tolist()]
        )

    def allow(self, history: Tensor, width: int | None = None) -> Tensor:
        """Bool [B, S, V]: ids that may follow steps [B, S, n]."""
        total, (book, frame) = self._next(history)
        width = width or self.width
        limit = np.minimum(total, UNKNOWN if self.max_frames is None else self.max_frames)
        forced = self._forced(book, frame, limit)  # [B, S], -1 where codes are due
        codes = np.arange(width) < np.array(self.sizes)[np.maximum(book, 0)][..., None]
        allow = np.where(forced[..., None] >= 0, np.arange(width) == forced[..., None], codes)
        may = self._opens(history.shape[2], book, frame) & (frame >= self.min_frames) & (total == UNKNOWN)[:, None]
        row, stream = np.nonzero(may & (forced < 0) & self.pattern.ends)
        allow[row, stream, self._fill[stream, END]] = True
        return torch.from_numpy(allow).to(history.device)

    def __call__(self, history: Tensor, logits: Tensor) -> Tensor:
        """Logits [B, S, V] with minus infinity for every id that may not follow steps [B, S, n]."""
        return logits.masked_fill(~self.allow(history, logits.shape[-1]), float("-inf"))

    def settle(self, history: Tensor, step: Tensor) -> Tensor:
        """Make a step [B, S] whose streams were drawn independently agree on the end.

        If a stream said that the utterance ends at frame T, the streams that stand at T or later say so too.
        """
        joined = torch.cat([history, step[..., None]], -1)
        _, (book, frame) = self._next(history)
        forced = torch.from_numpy(self._forced(book, frame, self.frames(joined).numpy())).to(step.device)
        return torch.where(forced >= 0, forced, step)

    def _next(self, history: Tensor) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Frames [B], and codebook and frame [B, S] of the step after ``history``."""
        total = self.frames(history).numpy()
        book, frame = self.pattern.cells(np.full(len(total), history.shape[2]), len(self.sizes), total)
        return total, (book.T, frame.T)

    def _forced(self, book: np.ndarray, frame: np.ndarray, total: np.ndarray) -> np.ndarray:
        """The one id that each cell [B, S] can hold, or -1 where it holds a code."""
        start, blank, end, pad = (self._fill[None, :, i] for i in (START, BLANK, END, PAD))
        last = np.where((frame == total[:, None]) & self.pattern.ends, end, pad)
        inside = np.where(frame < total[:, None], -1, last)
        return np.where(book < 0, blank, np.where(frame < 0, start, inside))

    def _opens(self, step: int, book: np.ndarray, frame: np.ndarray) -> np.ndarray:
        """Whether a cell [B, S] is the first one of its frame: the only place where an end can be decided."""
        before = -1
        if step:
            past_book, past = self.pattern.cells(np.array([step - 1]), len(self.sizes))
            before = int(np.where(past_book >= 0, past, -1).max())
        here = np.where(book >= 0, frame, -1)
        seen = np.maximum.accumulate(np.concatenate([np.full((len(here), 1), before), here], 1), 1)[:, :-1]
        return here > seen
