"""Delay patterns: all codebooks in parallel, each its own number of steps late (MusicGen, Moshi, Dia)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codectok.errors import FormatError
from codectok.llm.patterns.pattern import Frames, Pattern


@dataclass(frozen=True)
class Delay(Pattern):
    """Codebook k at frame t stands in stream k at step ``lead + t + delays[k]`` (Copet et al. 2023, MusicGen).

    >>> print(Delay().draw(4, 3))
    a0 a1 a2 a3 _  _
    ^  b0 b1 b2 b3 _
    ^  ^  c0 c1 c2 c3
    >>> print(Delay((0, 2, 2), lead=1, ends=True).draw(3, 3))
    ^  a0 a1 a2 $  _  _
    ^  ^  ^  b0 b1 b2 $
    ^  ^  ^  c0 c1 c2 $
    >>> print(Delay((0, 1, 1), tail="truncate").draw(4, 3))
    a0 a1 a2 a3
    ^  b0 b1 b2
    ^  c0 c1 c2

    Args:
        delays: steps that each codebook is late; None is 0, 1, 2, ... Any order, equal ones allowed.
        lead: START steps before everything (1 in audiocraft and Dia: the step that predicts the first frame).
        tail: ``extend`` adds max(delays) steps so that no code is lost. ``truncate`` keeps the length (Moshi): the last
            frames are then incomplete, and the inverse gives the T - max(delays) complete ones.
        ends: whether every stream marks its end, its own delay late (the ramp of Dia and Higgs).
    """

    delays: tuple[int, ...] | None = None
    lead: int = 0
    tail: str = "extend"
    ends: bool = False

    def __post_init__(self) -> None:
        if self.delays is not None:
            object.__setattr__(self, "delays", tuple(int(d) for d in self.delays))
            if not self.delays or min(self.delays) < 0:
                raise FormatError(f"delays {self.delays}: give one number of steps, 0 or more, a codebook")
        if self.tail not in ("extend", "truncate") or self.lead < 0:
            raise FormatError(f"tail {self.tail!r}, lead {self.lead}: tail is extend or truncate, lead 0 or more")
        if self.ends and self.tail == "truncate":
            raise FormatError("a truncated tail has no room for end marks: use tail='extend'")

    def of(self, num_codebooks: int) -> tuple[int, ...]:
        """The delay of each codebook."""
        return tuple(range(num_codebooks)) if self.delays is None else self.delays

    def check(self, num_codebooks: int) -> None:
        """As the base's; also that there is a delay a codebook."""
        super().check(num_codebooks)
        if len(self.of(num_codebooks)) != num_codebooks:
            raise FormatError(f"{len(self.of(num_codebooks))} delays for {num_codebooks} codebooks: give one for each")

    def streams(self, num_codebooks: int) -> int:
        """K."""
        return num_codebooks

    def length(self, num_frames: int, num_codebooks: int) -> int:
        """lead + T, and with an extended tail max(delays) and 1 for the end mark more."""
        extra = max(self.of(num_codebooks)) + self.ends if self.tail == "extend" else 0
        return self.lead + num_frames + extra

    def known_frames(self, num_frames: int) -> int:
        """T, less the largest delay where the tail is truncated."""
        if self.tail == "extend":
            return num_frames
        if self.delays is None:
            raise FormatError("name the delays of a truncated pattern: how much it loses depends on them")
        return max(0, num_frames - max(self.delays))

    def cells(
        self, steps: np.ndarray, num_codebooks: int, num_frames: Frames | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See the base; independent of T."""
        late = np.array(self.of(num_codebooks))[:, None]
        frame = steps[None, :] - self.lead - late
        return np.broadcast_to(np.arange(num_codebooks)[:, None], frame.shape), frame


def parallel(num_codebooks: int, lead: int = 0) -> Delay:
    """All codebooks of a frame in one step.

    >>> print(parallel(2).draw(3, 2))
    a0 a1 a2
    b0 b1 b2
    """
    return Delay((0,) * num_codebooks, lead=lead)


def musicgen(num_codebooks: int, channels: int = 1) -> Delay:
    """MusicGen's and audiocraft's convention: one leading step, delay k; stereo delays left and right alike.

    With one special id everywhere (``Fill.all(pad_token_id)``) this is ``build_delay_pattern_mask`` of transformers.

    >>> print(musicgen(4, channels=2).draw(3, 4))
    ^  a0 a1 a2 _
    ^  b0 b1 b2 _
    ^  ^  c0 c1 c2
    ^  ^  d0 d1 d2

    Args:
        num_codebooks: K, both channels together; in stereo the rows alternate left and right.
        channels: 1 or 2.
    """
    return Delay(tuple(k // channels for k in range(num_codebooks)), lead=1)


def dia(delays: Sequence[int] = (0, 8, 9, 10, 11, 12, 13, 14, 15)) -> Delay:
    """Dia's convention: one leading step, its own delays, an end mark in every stream, padding after.

    With ``Fill(start=1026, end=1024, pad=1025)`` this is what ``DiaProcessor`` makes for training.

    >>> print(dia((0, 2, 3)).draw(2, 3))
    ^  a0 a1 $  _  _  _
    ^  ^  ^  b0 b1 $  _
    ^  ^  ^  ^  c0 c1 $
    """
    return Delay(tuple(delays), lead=1, ends=True)
