"""Where speech is: voice activity by webrtcvad, frame by frame, with its pauses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from codectok.audio.samples import Resampler, to_int16
from codectok.extras import need

RATE = 16000
FRAME = 480
"""Samples at ``RATE``: 30 ms, the longest frame webrtcvad takes."""
FRAME_SECONDS = FRAME / RATE
MIN_PAUSE = 0.5
"""Silence in seconds that ends a stretch of speech."""
PADDING = 0.2
"""Seconds kept before and after a stretch of speech; less than half of ``MIN_PAUSE``, so that two never meet."""

Voiced = Callable[[np.ndarray], bool]
"""Whether a frame, int16 [FRAME], is speech."""


@dataclass
class VoicedStretch:
    """A stretch of speech, in frames: ``[start, stop)``, and the pauses inside it that are too short to end it."""

    start: int
    stop: int
    pauses: list[tuple[int, int]] = field(default_factory=list)


def webrtc(aggressiveness: int = 2) -> Voiced:
    """A fresh detector: it adapts to what it heard, so each file has one of its own.

    Raises:
        MissingPackageError: webrtcvad is not installed.
    """
    need("--vad needs", "scale", "webrtcvad")
    import webrtcvad

    vad = webrtcvad.Vad(aggressiveness)
    return lambda frame: bool(vad.is_speech(frame.tobytes(), RATE))


def decisions(blocks: Iterable[np.ndarray], rate: int, voiced: Voiced) -> Iterator[bool]:
    """Whether each frame is speech, of float32 [S] blocks at ``rate`` Hz; the last frame is filled with zeros."""
    resampler, rest = Resampler(rate, RATE), np.zeros(0, np.float32)

    def frames(samples: np.ndarray) -> Iterator[bool]:
        nonlocal rest
        rest = np.concatenate([rest, samples])
        whole = len(rest) // FRAME * FRAME
        ints = to_int16(rest[:whole])
        rest = rest[whole:]
        yield from (voiced(frame) for frame in ints.reshape(-1, FRAME))

    for block in blocks:
        yield from frames(resampler.push(block))
    yield from frames(resampler.flush())
    if len(rest):
        yield from frames(np.zeros(FRAME - len(rest), np.float32))


def stretches(frames: Iterable[bool], min_pause: float = MIN_PAUSE) -> Iterator[VoicedStretch]:
    """Join speech frames with less than ``min_pause`` seconds between them."""
    gap = max(1, round(min_pause / FRAME_SECONDS))
    current: VoicedStretch | None = None
    for index, speech in enumerate(frames):
        if not speech:
            continue
        if current is not None and index - current.stop >= gap:
            yield current
            current = None
        if current is None:
            current = VoicedStretch(index, index + 1)
            continue
        if index > current.stop:
            current.pauses.append((current.stop, index))
        current.stop = index + 1
    if current is not None:
        yield current
