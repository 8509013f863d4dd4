"""Phones of clips with transcripts, by forced alignment with pocketsphinx, whose package carries an English model.

The acoustic model and dictionary are CMU Sphinx's US English ones (39 phones of the ARPAbet without stress). There are
two passes: the words, with silence where it is heard, then the phones of these words. A word that the dictionary does
not know drops its clip, which is counted: no pronunciation is guessed.

Times: frame t of the aligner is computed from 410 samples from ``160 t`` on, so it stands for the 160 samples in the
middle of these. The first and last phones reach to the ends of the clip.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from codectok.errors import CodectokError
from codectok.metrics.segments import SILENCE, Segment

RATE = 16000
"""Hz that the aligner takes."""
_HOP, _WINDOW = 160, 410
_OFFSET = (_WINDOW - _HOP) // 2
_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_FILLERS = ("+NSN+", "+SPN+")


@dataclass
class Alignments:
    """Phones of each clip that was aligned, and the reasons of those that were not."""

    clips: dict[str, list[Segment]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def num_phones(self) -> int:
        """Segments that are no silence."""
        return sum(s.label != SILENCE for segments in self.clips.values() for s in segments)

    @property
    def seconds(self) -> float:
        """Of the clips that were aligned."""
        return sum(segments[-1].offset for segments in self.clips.values())


def spoken_words(transcript: str) -> list[str]:
    """Words of an English transcript as the dictionary spells them: lower case, numbers up to 99 in words.

    Raises:
        CodectokError: a larger number (it is not known how it was read), or no words.
    """
    text = transcript.lower().replace("\u2019", "'")
    found: list[str] = []
    for word in re.findall(r"[a-z0-9']+", re.sub(r"\[[^\]]*\]|<[^>]*>", " ", text)):
        if word.isdigit():
            found += _number(word)
        elif any(c.isdigit() for c in word):
            raise CodectokError(f"it is not known how {word!r} was read")
        elif word.strip("'"):
            found.append(word.strip("'") if word.endswith("'") else word)
    if not found:
        raise CodectokError("no words")
    return found


def _number(digits: str) -> list[str]:
    if len(digits) > 2 or (len(digits) == 2 and digits[0] == "0"):
        raise CodectokError(f"it is not known how {digits!r} was read")
    n = int(digits)
    if n < 20:
        return [(_UNITS + _TEENS)[n]]
    return [_TENS[n // 10 - 2]] + ([_UNITS[n % 10]] if n % 10 else [])


class Aligner:
    """Forced alignment of one clip at a time.

    Raises:
        CodectokError: pocketsphinx is not installed.
    """

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError:
            raise CodectokError("phones by alignment need pocketsphinx: pip install 'pocketsphinx>=5.1'") from None
        # Batch normalisation of the cepstra: over the clip, not over what came before it. Wide beams: with the default
        # ones, clips are lost whose words are not clear.
        self._decoder: Any = Decoder(
            lm=None, loglevel="FATAL", cmn="batch", silprob=0.1, beam=1e-100, pbeam=1e-100, wbeam=1e-80, bestpath=False
        )

    def align(self, samples: np.ndarray, transcript: str) -> list[Segment]:
        """Phones of one clip in time, without gaps.

        Args:
            samples: float [S] at 16 kHz.
            transcript: what is said, in English.

        Raises:
            CodectokError: words that the dictionary lacks, or audio that does not fit them.
        """
        words = spoken_words(transcript)
        unknown = [w for w in dict.fromkeys(words) if self._decoder.lookup_word(w) is None]
        if unknown:
            raise CodectokError(f"not in the dictionary: {', '.join(unknown)}")
        pcm = np.rint(np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes()
        try:
            self._decoder.set_align_text(" ".join(words))
            self._run(pcm)
            if self._decoder.hyp() is None:
                raise CodectokError("the words do not fit the audio")
            self._decoder.set_alignment()
            self._run(pcm)
            found = [(p.name, p.start, p.start + p.duration) for w in self._decoder.get_alignment() for p in w]
        except (RuntimeError, TypeError):
            raise CodectokError("the words do not fit the audio") from None
        return _segments(found, len(samples))

    def _run(self, pcm: bytes) -> None:
        # The front end removes noise by what it has tracked so far: anew for each pass, or a clip's phones would depend
        # on the clip before it.
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()


def _segments(phones: list[tuple[str, int, int]], num_samples: int) -> list[Segment]:
    """Aligned (phone, first frame, end frame) as segments; neighbouring silences and fillers are one."""
    total, found = num_samples / RATE, list[Segment]()
    for i, (name, _, end) in enumerate(phones):
        onset = found[-1].offset if found else 0.0
        offset = total if i == len(phones) - 1 else min((end * _HOP + _OFFSET) / RATE, total)
        label = SILENCE if name in _FILLERS else name
        if offset <= onset:
            continue
        if found and found[-1].label == label == SILENCE:
            found[-1] = Segment(found[-1].onset, offset, label)
        else:
            found.append(Segment(onset, offset, label))
    return found


def align_clips(
    clips: Iterable[tuple[str, str, Callable[[], np.ndarray]]], progress: Callable[[], None] = lambda: None
) -> Alignments:
    """Align many clips; what fails is left out, with its reason.

    Args:
        clips: name, transcript and a function that reads float [S] at 16 kHz, of each.
        progress: called after each clip.
    """
    aligner, result = Aligner(), Alignments()
    for name, transcript, read in clips:
        try:
            result.clips[name] = aligner.align(read(), transcript)
        except (CodectokError, OSError) as error:
            result.failed[name] = str(error)
        progress()
    return result
