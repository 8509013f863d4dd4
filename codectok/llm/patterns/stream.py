"""The streaming inverse: push steps as a model makes them, get each frame once all its codes are there."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from codectok.errors import CodeRangeError, FormatError
from codectok.llm.patterns.cells import Fill
from codectok.llm.patterns.pattern import Pattern


class StreamInverse:
    """Inverse of a pattern, step by step; any chunking gives the same frames as the offline inverse.

    The end rule. The first end or pad id that stands where a code of frame t belongs ends the utterance: T = t. Codes
    of frames from T on are dropped, frames before T are still completed by the delayed streams (the tail), and ``done``
    turns true when they all are. Frames that never got all their codes are dropped, never filled, and counted. Any
    other id outside its codebook is an error: clamped, it would sound like a code.

    Args:
        pattern: any.
        num_codebooks: K.
        sizes: codebook sizes; None: any id but a negative one is a code.
        fill: the ids of cells without codes, as given to ``apply``.
        num_frames: T, where known. Section patterns need it, unless they mark their ends.

    Raises:
        FormatError: a section pattern without T and without end marks, or marks that are codes.
    """

    def __init__(
        self,
        pattern: Pattern,
        num_codebooks: int,
        *,
        sizes: tuple[int, ...] | None = None,
        fill: Fill | None = None,
        num_frames: int | None = None,
    ) -> None:
        pattern.check(num_codebooks)
        if pattern.needs_length and num_frames is None and not pattern.ends:
            raise FormatError("the places of codes in this pattern depend on the number of frames: give num_frames")
        self.pattern, self.num_codebooks, self.num_frames = pattern, num_codebooks, num_frames
        self._sizes = np.full(num_codebooks, np.iinfo(np.int64).max) if sizes is None else np.asarray(sizes)
        table = (fill or Fill()).table(pattern.streams(num_codebooks))
        if sizes is not None and bool(((table[:, 3:] >= 0) & (table[:, 3:] < min(sizes))).any()):
            raise FormatError("the end or pad id of the fill is a code of every codebook: give ids from max(sizes) on")
        self._marks = table[:, 3:]  # end and pad, a stream
        self._step = 0
        self._given = 0  # frames handed out
        self._codes = np.full((num_codebooks, 0), -1, dtype=np.int64)  # of frames given, given + 1, ...

    @property
    def done(self) -> bool:
        """Whether the end is known and every frame before it was given."""
        return self.num_frames is not None and self._given >= self.num_frames

    @property
    def pending(self) -> int:
        """Codes received of frames that are not complete. After the last push: what a cut sequence loses."""
        return int((self._codes >= 0).sum())

    def push(self, steps: np.ndarray | Tensor) -> Tensor:
        """Steps [S, n] (any n) -> int64 [K, new], the frames that they completed.

        Raises:
            FormatError: another number of streams.
            CodeRangeError: an id that is neither a code of its codebook nor a mark of the fill.
        """
        cells = np.asarray(steps.cpu() if isinstance(steps, Tensor) else steps)
        if cells.ndim != 2 or len(cells) != len(self._marks):
            raise FormatError(f"steps of shape {list(cells.shape)}: expected [{len(self._marks)}, n]")
        while cells.shape[1]:
            taken = self._take(cells)
            cells = cells[:, taken:]
            self._step += taken
        if self.num_frames is not None:
            self._codes = self._codes[:, : max(0, self.num_frames - self._given)]
        ready: np.ndarray = np.all(self._codes >= 0, axis=0)
        count = len(ready) if ready.all() else int(ready.argmin())
        self._given += count
        found, self._codes = self._codes[:, :count], self._codes[:, count:]
        return torch.from_numpy(found.copy())

    def _take(self, cells: np.ndarray) -> int:
        """Store the codes of some leading steps; the number of steps read (up to a mark that moves what follows)."""
        at = np.arange(self._step, self._step + cells.shape[1])
        book, frame = self.pattern.cells(at, self.num_codebooks, self.num_frames)
        here = (book >= 0) & (frame >= 0)
        if self.num_frames is not None:
            here &= frame < self.num_frames
        marks = here & (cells[:, :, None] == self._marks[:, None, :]).any(-1)
        taken = cells.shape[1]
        if marks.any():
            if self.pattern.needs_length:  # the steps after the mark stand elsewhere than was assumed
                taken = int(marks.any(0).argmax()) + 1
            end = int(frame[:, :taken][marks[:, :taken]].min())
            if self.pattern.needs_length and self.num_frames is not None:
                raise CodeRangeError(f"an end mark at frame {end} of a section that has {self.num_frames} frames")
            self.num_frames = end
            here &= frame < end
        here = here[:, :taken] & ~marks[:, :taken]
        k, t, code = book[:, :taken][here], frame[:, :taken][here] - self._given, cells[:, :taken][here]
        wrong = (code < 0) | (code >= self._sizes[k])
        if wrong.any():
            i = int(wrong.argmax())
            raise CodeRangeError(
                f"id {int(code[i])} stands where a code of codebook {int(k[i])} at frame {int(t[i]) + self._given} "
                "should: generate under a constraint, or give the fill that was used",
                code=int(code[i]),
                size=int(self._sizes[k[i]]),
                codebook=int(k[i]),
            )
        room = int(t.max()) + 1 - self._codes.shape[1] if len(t) else 0
        if room > 0:
            new = np.full((self.num_codebooks, room), -1, dtype=np.int64)
            self._codes = np.concatenate([self._codes, new], axis=1)
        self._codes[k, t] = code
        return taken
