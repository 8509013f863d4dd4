"""dWER and dCER: what a named judge no longer understands of a clip that it understood in the original.

The judge's text of the original is the reference, so that its own errors are left out (and a judge that hears badly
sees little: name it). Clips of over 30 s are cut where the original is quietest, and one of the same
length at the same places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from codectok.metrics.intelligibility import Edits, character_edits, error_rate, word_edits
from codectok.metrics.judge import RATE, WhisperJudge, repeats_itself
from codectok.metrics.registry import MetricError, as_file
from codectok.metrics.signal import aligned_pair

LONGEST_SECONDS = 30.0
"""What Whisper hears at once."""
_SEARCH_SECONDS = 10.0
"""A cut is looked for in the last seconds of a window."""
_FRAME_SECONDS = 0.05


@dataclass(frozen=True)
class Judged:
    """A clip as a judge hears it.

    Attributes:
        original, heard: its texts of the original and of the other clip, as it writes them.
        words, characters: edits between the two.
        loop: whether its text of the other repeats itself: counted, and left in the rates.
    """

    original: str
    heard: str
    words: Edits
    characters: Edits
    loop: bool


@lru_cache(maxsize=1)
def open_judge(name: str, device: str = "cpu") -> Listener:
    """A Whisper by its folder or hub id, kept for the next cell. Raises as WhisperJudge does."""
    return Listener(WhisperJudge(name, device=device))


class Listener:
    """A judge that remembers its texts of originals, which many systems are compared with."""

    def __init__(self, judge: WhisperJudge) -> None:
        self.judge = judge
        self._known: dict[tuple[bytes, str], str] = {}

    def compare(self, original: np.ndarray, clip: np.ndarray, rate: int, language: str) -> Judged:
        """Let the judge hear both as 16-bit files, float [S] each at ``rate`` Hz, in the language of a BCP 47 tag.

        Raises:
            MetricError: empty or not finite, an unknown language, or an original on which the judge repeats itself.
        """
        first, second = (aligned_pair(as_file(x), as_file(x), rate)[0].astype(np.float32) for x in (original, clip))
        cuts = cut_points(first, RATE)
        key = (first.tobytes(), language)
        if key not in self._known:
            self._known[key] = self._hear(first, cuts, language)
        same_length = len(first) == len(second)
        reference = self._known[key]
        heard = self._hear(second, cuts if same_length else cut_points(second, RATE), language)
        if repeats_itself(reference):
            raise MetricError("the judge repeats itself on the original: there is no text to compare with")
        return Judged(
            reference,
            heard,
            word_edits(reference, heard),
            character_edits(reference, heard),
            repeats_itself(heard),
        )

    def _hear(self, clip: np.ndarray, cuts: Sequence[int], language: str) -> str:
        parts = np.split(clip, list(cuts))
        return " ".join(filter(None, (self.judge.transcribe([part], RATE, [language])[0] for part in parts)))


def cut_points(samples: np.ndarray, rate: int) -> list[int]:
    """Where to cut float [S] so that no part is longer than 30 s: in the quietest 50 ms of each window's last 10 s."""
    longest, search, frame = (round(s * rate) for s in (LONGEST_SECONDS, _SEARCH_SECONDS, _FRAME_SECONDS))
    cuts: list[int] = []
    start = 0
    while len(samples) - start > longest:
        region = np.asarray(samples[start + longest - search : start + longest], dtype=np.float64)
        power = (region[: len(region) // frame * frame].reshape(-1, frame) ** 2).mean(1)
        start += longest - search + int(power.argmin()) * frame + frame // 2
        cuts.append(start)
    return cuts


def differential_wer(judged: Sequence[Judged]) -> float:
    """Edits over the words of all originals, in %. Raises MetricError where the judge heard no word in any."""
    return 100 * error_rate([j.words for j in judged]).mean


def differential_cer(judged: Sequence[Judged]) -> float:
    """Edits over the characters of all originals, in %. Raises MetricError where the judge heard none in any."""
    return 100 * error_rate([j.characters for j in judged]).mean
