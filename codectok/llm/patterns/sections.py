"""Section patterns: the whole of some codebooks before any of the next (coarse-first, MusicLM, AudioLM).

The place of a code depends on the number of frames T. A model that generates such a sequence must be told T, or the
sections must mark their ends (``ends=True``): the end of the first one says T, and all others have that length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from codectok.errors import FormatError
from codectok.llm.patterns.pattern import UNKNOWN, Frames, Pattern


@dataclass(frozen=True)
class Sections(Pattern):
    """One stream, section after section, each frame-major over its own codebooks.

    >>> print(Sections().draw(3, 2))
    a0 a1 a2 b0 b1 b2
    >>> print(Sections(((0,), (1, 2))).draw(2, 3))
    a0 a1 b0 c0 b1 c1
    >>> print(Sections(((0,), (1, 2)), ends=True).draw(2, 3))
    a0 a1 $  b0 c0 b1 c1 $

    Args:
        groups: the codebooks of each section; None is one codebook a section (codebook-major flattening).
            AudioLM's order is ``((0,), coarse, fine)`` (Borsos et al. 2022); see also ``music_lm`` and ``audio_lm``.
        ends: whether each section ends with an END cell.
    """

    groups: tuple[tuple[int, ...], ...] | None = None
    ends: bool = False
    needs_length: ClassVar[bool] = True

    def of(self, num_codebooks: int) -> tuple[tuple[int, ...], ...]:
        """The codebooks of each section."""
        return tuple((k,) for k in range(num_codebooks)) if self.groups is None else self.groups

    def check(self, num_codebooks: int) -> None:
        """As the base's; also that the sections name each codebook once."""
        super().check(num_codebooks)
        groups = self.of(num_codebooks)
        if not all(groups) or sorted(k for g in groups for k in g) != list(range(num_codebooks)):
            raise FormatError(f"sections {groups} do not name each of {num_codebooks} codebooks once")

    def streams(self, num_codebooks: int) -> int:
        """One."""
        return 1

    def length(self, num_frames: int, num_codebooks: int) -> int:
        """T * K, and one step for each end mark."""
        return num_frames * num_codebooks + self.ends * len(self.of(num_codebooks))

    def cells(
        self, steps: np.ndarray, num_codebooks: int, num_frames: Frames | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See the base. With T unknown, all is the first section."""
        groups = self.of(num_codebooks)
        width = np.array([len(g) for g in groups])
        table = np.array([list(g) + [0] * (max(width) - len(g)) for g in groups])
        total = np.broadcast_to(np.asarray(UNKNOWN if num_frames is None else num_frames), np.shape(steps))
        begin = total[:, None] * (np.cumsum(width) - width) + self.ends * np.arange(len(groups))  # [n, sections]
        section = np.maximum((np.asarray(steps)[:, None] >= begin).sum(1) - 1, 0)
        frame, slot = np.divmod(steps - begin[np.arange(len(section)), section], width[section])
        return table[section, slot][None, :], frame[None, :]


def music_lm(num_codebooks: int, group_by: int = 2) -> Sections:
    """Groups of codebooks flattened in time, group after group (audiocraft's MusicLMPattern).

    >>> print(music_lm(4).draw(2, 4))
    a0 b0 a1 b1 c0 d0 c1 d1
    """
    starts = range(0, num_codebooks, group_by)
    return Sections(tuple(tuple(range(k, min(k + group_by, num_codebooks))) for k in starts))


def audio_lm(num_codebooks: int, coarse: int, ends: bool = True) -> Sections:
    """AudioLM's three stages in one stream: the first (semantic) codebook, ``coarse`` codebooks, the (fine) rest.

    >>> print(audio_lm(4, coarse=2).draw(2, 4))
    a0 a1 $  b0 c0 b1 c1 $  d0 d1 $
    """
    rest = tuple(range(1 + coarse, num_codebooks))
    groups = ((0,), tuple(range(1, min(1 + coarse, num_codebooks))), rest)
    return Sections(tuple(g for g in groups if g), ends)


@dataclass(frozen=True)
class CoarseFirst(Pattern):
    """The first codebook alone, then all others in parallel with delays of their own (audiocraft's CoarseFirstPattern).

    >>> print(CoarseFirst().draw(3, 3))
    a0 a1 a2 .  .  .
    .  .  .  b0 b1 b2
    .  .  .  c0 c1 c2
    >>> print(CoarseFirst((0, 1), ends=True).draw(2, 3))
    a0 a1 $  .  .  .  .
    .  .  .  b0 b1 $  _
    .  .  .  ^  c0 c1 $

    Args:
        delays: of codebooks 1, 2, ...; None is none.
        lead: START steps before everything (1 in audiocraft).
        ends: whether each stream marks its end; the first one's tells a generating model when to go on.
    """

    delays: tuple[int, ...] | None = None
    lead: int = 0
    ends: bool = False
    needs_length: ClassVar[bool] = True

    def of(self, num_codebooks: int) -> tuple[int, ...]:
        """The delay of codebooks 1, 2, ..."""
        return (0,) * (num_codebooks - 1) if self.delays is None else self.delays

    def check(self, num_codebooks: int) -> None:
        """As the base's; also that there is a delay for each codebook but the first."""
        super().check(num_codebooks)
        if len(self.of(num_codebooks)) != num_codebooks - 1 or min(self.of(num_codebooks), default=0) < 0:
            raise FormatError(
                f"delays {self.delays}: give one, 0 or more, for each of codebooks 1 to {num_codebooks - 1}"
            )

    def streams(self, num_codebooks: int) -> int:
        """K."""
        return num_codebooks

    def length(self, num_frames: int, num_codebooks: int) -> int:
        """lead + T, and T + max(delays) for the rest; 1 more each with end marks."""
        rest = num_frames + max(self.of(num_codebooks)) + self.ends if num_codebooks > 1 else 0
        return self.lead + num_frames + self.ends + rest

    def cells(
        self, steps: np.ndarray, num_codebooks: int, num_frames: Frames | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See the base. With T unknown, all is the first codebook's part."""
        total = np.broadcast_to(np.asarray(UNKNOWN if num_frames is None else num_frames), np.shape(steps))
        n = np.asarray(steps) - self.lead
        turn = total + self.ends  # the step at which the others begin
        first = n < turn
        late = np.array(self.of(num_codebooks), dtype=np.int64)[:, None]
        frame = np.concatenate([n[None, :], n - turn - late])
        mine = np.arange(num_codebooks)[:, None]
        return np.where((mine == 0) == first, mine, np.where(n < 0, mine, -1)), np.where(n < 0, -1, frame)
