"""Which frames of a corpus are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from codectok.errors import CodectokError

if TYPE_CHECKING:
    from codectok.units import SpeechEncoder


@dataclass(frozen=True)
class SampleOptions:
    """Which frames are kept. 0 leaves a bound out; where ``hours`` and ``frames`` are 0, ``memory_gib`` bounds.

    Attributes:
        hours: most hours of frames.
        percent: of all frames, each drawn with this chance.
        frames: most frames.
        memory_gib: for the frames, in GiB.
        clips: only so many clips of the corpus are encoded, drawn by the seed; 0: all.
        valid_share: share of the clips held out; their frames give the held-out inertia and are never fitted on.
        seed: of every draw.
    """

    hours: float = 0.0
    percent: float = 0.0
    frames: int = 0
    memory_gib: float = 1.0
    clips: int = 0
    valid_share: float = 0.05
    seed: int = 0

    def bound(self, encoder: SpeechEncoder) -> int:
        """Most frames kept.

        Raises:
            CodectokError: a bound that leaves none, or a share that is none.
        """
        for name, share, most in (("percent", self.percent, 100), ("valid_share", self.valid_share, 0.9)):
            if not 0 <= share <= most:
                raise CodectokError(f"{name} is {share:g}: give 0 to {most:g}")
        given = [round(self.hours * 3600 * encoder.frame_rate)] if self.hours else []
        given += [self.frames] if self.frames else []
        # The reservoir's slack of a sixteenth is within the memory allowed.
        bound = min(given) if given else int(self.memory_gib * 2**30 * 16 / 17) // (4 * encoder.dim)
        if bound < 1:
            raise CodectokError("hours, frames and memory_gib leave no frames to fit on: give more")
        return bound
