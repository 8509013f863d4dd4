"""Flattening: codebooks one after the other, frame by frame, in one stream or with some of them in parallel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codectok.errors import FormatError
from codectok.llm.patterns.pattern import Frames, Pattern


@dataclass(frozen=True)
class FrameMajor(Pattern):
    """One stream that says all rows of frame 0, then of frame 1."""

    def streams(self, num_codebooks: int) -> int:
        """One."""
        return 1

    def length(self, num_frames: int, num_codebooks: int) -> int:
        """T * K."""
        return num_frames * num_codebooks

    def cells(
        self, steps: np.ndarray, num_codebooks: int, num_frames: Frames | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See the base; independent of T."""
        frame, slot = np.divmod(steps[None, :], num_codebooks)
        return slot, frame


@dataclass(frozen=True)
class Flatten(FrameMajor):
    """Frame-major flattening into one stream: all codebooks of frame 0, then of frame 1 (Llama-Mimi, AnyGPT).

    >>> print(Flatten().draw(3, 2))
    a0 b0 a1 b1 a2 b2
    >>> print(Flatten((1, 0)).draw(3, 2))
    b0 a0 b1 a1 b2 a2

    Codebook-major flattening is ``Sections``.

    Args:
        order: the codebooks in the order in which a frame says them; None is 0, 1, 2, ...
    """

    order: tuple[int, ...] | None = None

    def check(self, num_codebooks: int) -> None:
        """As the base's; also that the order names each codebook once."""
        super().check(num_codebooks)
        if self.order is not None and sorted(self.order) != list(range(num_codebooks)):
            raise FormatError(f"order {self.order} does not name each of {num_codebooks} codebooks once")

    def cells(
        self, steps: np.ndarray, num_codebooks: int, num_frames: Frames | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See the base; independent of T."""
        slot, frame = super().cells(steps, num_codebooks, num_frames)
        return (slot if self.order is None else np.array(self.order)[slot]), frame


@dataclass(frozen=True)
class PartialFlatten(Pattern):
    """Groups of codebooks take turns within a frame; a group's codebooks stand in parallel (audiocraft's "unrolled").

    >>> print(PartialFlatten((0, 1, 1)).draw(3, 3))
    a0 .  a1 .  a2 .
    .  b0 .  b1 .  b2
    .  c0 .  c1 .  c2
    >>> print(PartialFlatten((0, 1, 1), delays=(0, 2, 2)).draw(4, 3))
    a0 a1 .  a2 .  a3 .  _  .  _
    .  .  b0 .  b1 .  b2 .  b3 .
    .  .  c0 .  c1 .  c2 .  c3 .

    Args:
        flattening: the turn of each codebook within a frame, from 0, never falling.
        delays: frames that each codebook is late, equal within a group, never falling. Within a step of time the latest
            group speaks first, as in audiocraft.
        lead: START steps before everything (1 in audiocraft).
    """

    flattening: tuple[int, ...]
    delays: tuple[int, ...] | None = None
    lead: int = 0

    def __post_init__(self) -> None:
        late = self.delays or (0,) * len(self.flattening)
        pairs = sorted(set(zip(self.flattening, late, strict=False)))
        turns = [turn for turn, _ in pairs]
        falls = list(late) != sorted(late) or list(self.flattening) != sorted(self.flattening)
        if turns != list(range(len(turns))) or falls or len(late) != len(self.flattening) or min(late, default=0) < 0:
            raise FormatError(
                f"flattening {self.flattening} with delays {self.delays}: turns count up from 0, delays never fall and "
                "are equal within a turn"
            )

    @property
    def _late(self) -> list[int]:
        """Delay of each group, in order of their turns."""
        late = self.delays or (0,) * len(self.flattening)
        return [late[self.flattening.index(g)] for g in range(self.flattening[-1] + 1)]

    def check(self, num_codebooks: int) -> None:
        """As the base's; also that there is a turn for each codebook."""
        super().check(num_codebooks)
        if len(self.flattening) != num_codebooks:
            raise FormatError(
                f"flattening {self.flattening} is for {len(self.flattening)} codebooks, not {num_codebooks}"
            )

    def streams(self, num_codebooks: int) -> int:
        """K."""
        return num_codebooks

    def length(self, num_frames: int, num_codebooks: int) -> int:
        """lead + the steps of every group: T of its own, and more until the latest group is done."""
        late = self._late
        return self.lead + sum(num_frames + late[-1] - d for d in late)

    def cells(
        self, steps: np.ndarray, num_codebooks: int, num_frames: Frames | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See the base; independent of T."""
        late = self._late
        n = np.asarray(steps) - self.lead
        # From frame late[j - 1] on, j groups take part: `begin[j - 1]` is the first step of that stretch.
        begin = np.cumsum([0] + [j * (late[j] - late[j - 1]) for j in range(1, len(late))])
        active = np.maximum(np.searchsorted(begin, n, side="right"), 1)
        ahead = n - begin[active - 1]
        time = np.array(late)[active - 1] + ahead // active
        turns = np.zeros((len(late) + 1, len(late)), dtype=np.int64)
        for j in range(1, len(late) + 1):
            turns[j, :j] = sorted(range(j), key=lambda g: (-late[g], g))
        group = turns[active, ahead % active]
        mine = np.array(self.flattening)[:, None]
        here = (mine == group) & (n >= 0)
        frame = np.where(n >= 0, time - np.array(late)[mine], -1)
        book = np.where(here | (n < 0), np.arange(num_codebooks)[:, None], -1)
        return book, frame
