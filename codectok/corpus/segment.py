"""Long recordings cut into pieces: a JSONL manifest with exact offsets and durations. No audio is written or held."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from codectok.audio.reader import AudioReader
from codectok.corpus.voice import FRAME, PADDING, RATE, Voiced, VoicedStretch, decisions, stretches
from codectok.errors import AudioError, CodectokError
from codectok.files.atomic import atomic_path
from codectok.items.clips import clip_blocks
from codectok.items.corpus import Corpus
from codectok.items.item import Item
from codectok.items.sources import describe, open_item
from codectok.items.written import audio_path, json_line

SPOKEN = ("text", "ltr", "phn", "words", "alignment", "supervisions", "messages")
"""Labels that are of a whole recording and not of a piece of it."""
Span = tuple[int, int]
"""Samples ``[start, stop)`` of a file, at its own rate."""


@dataclass
class Cuts:
    """What was cut: items read, pieces, seconds of audio and of pieces, and (id, reason) of each item that failed."""

    items: int = 0
    pieces: int = 0
    seconds: float = 0.0
    kept_seconds: float = 0.0
    failed: list[tuple[str, str]] = field(default_factory=list)


def segment_corpus(
    corpus: Corpus,
    out: str | os.PathLike[str],
    max_seconds: float,
    vad: Callable[[], Voiced] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Cuts:
    """Cut each item into pieces of at most ``max_seconds``, and write them as a manifest.

    Without ``vad`` the pieces tile the item and differ by a sample at most. With it they are stretches of speech,
    padded; one that is too long is cut in the middle of its longest pause, and inside speech only where it has none.
    Pieces have the labels of their item, but for its text, unless it is one piece.

    Args:
        corpus: of long files.
        out: the manifest, .jsonl.
        max_seconds: longest piece.
        vad: makes the detector of one item, as :func:`codectok.corpus.voice.webrtc` does.
        progress: told the number of items so far.

    Raises:
        CodectokError: ``max_seconds`` too short, another suffix than .jsonl, or nothing could be cut.
    """
    target, cuts = Path(out).absolute(), Cuts()
    if target.suffix.lower() != ".jsonl":
        raise CodectokError(f"{target} must end in .jsonl")
    if not 0.1 <= max_seconds < float("inf"):
        raise CodectokError(f"pieces of at most {max_seconds:g} s are no use: give 0.1 or more")
    corpus.scan()  # ids that come twice would make pieces that come twice
    with atomic_path(target) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for item in corpus:
            cuts.items += 1
            try:
                with open_item(item) as reader:
                    rate, (start, stop) = reader.rate, bounds(item, reader)
                with open_item(item) as reader:
                    spans = list(_spans(item, reader, (start, stop), max_seconds, vad))
            except (AudioError, OSError) as error:
                cuts.failed.append((item.id, " ".join(str(error).split())))
                continue
            cuts.seconds += (stop - start) / rate
            labels = item.labels if len(spans) == 1 else {n: v for n, v in item.labels.items() if n not in SPOKEN}
            for span in spans:
                file.write(json_line({**labels, **_entry(item, span, rate, str(target.parent))}))
                cuts.pieces += 1
                cuts.kept_seconds += (span[1] - span[0]) / rate
            if progress is not None:
                progress(cuts.items)
        if not cuts.pieces:
            reason = f" ({cuts.failed[0][1]})" if cuts.failed else ": no speech was found; leave --vad out"
            raise CodectokError(f"no piece could be cut from {corpus.source}{reason}")
    return cuts


def bounds(item: Item, reader: AudioReader) -> Span:
    """First and last sample of an item in its file; all is read where the header only estimates the length."""
    rate = reader.rate
    start = round((item.offset or 0.0) * rate)
    if not reader.exact:
        return start, start + sum(len(block) for block in clip_blocks(item, reader))
    total = reader.num_samples
    stop = total if item.duration is None else min(total, start + round(item.duration * rate))
    if start >= stop:
        raise AudioError(f"the segment from {start / rate:g} s is not in {describe(item)}: correct its offset")
    return start, stop


def _spans(
    item: Item, reader: AudioReader, span: Span, max_seconds: float, vad: Callable[[], Voiced] | None
) -> Iterator[Span]:
    longest = int(max_seconds * reader.rate)
    if vad is None:
        yield from equal_parts(*span, longest)
        return
    frames = decisions(clip_blocks(item, reader), reader.rate, vad())
    for stretch in stretches(frames):
        for start, stop in speech_parts(stretch, max_seconds):
            # Floors of a grid of frames: neighbours meet in one sample, whatever the rate.
            first, last = (span[0] + max(0, int(t * reader.rate // RATE)) for t in (start, stop))
            if first < (last := min(last, span[1])):
                yield first, last


def equal_parts(start: int, stop: int, longest: int) -> Iterator[Span]:
    """Tile ``[start, stop)`` by the fewest parts of at most ``longest``; their lengths differ by one at most."""
    count = -(-(stop - start) // longest)
    edges = [start + (stop - start) * i // count for i in range(count + 1)]
    yield from pairwise(edges)


def speech_parts(stretch: VoicedStretch, max_seconds: float) -> Iterator[Span]:
    """Padded parts of a stretch, in samples at ``RATE``, each at most ``max_seconds`` long."""
    # One sample less: at another rate, both ends are rounded.
    longest, padding = int(max_seconds * RATE) - 1, int(PADDING * RATE)
    at, end = max(0, stretch.start * FRAME - padding), stretch.stop * FRAME + padding
    pauses = [(start * FRAME, stop * FRAME) for start, stop in stretch.pauses]
    while end - at > longest:
        # The longest pause within reach, of equal ones the last; its middle is the cut.
        within = [(b - a, (a + b) // 2) for a, b in pauses if at < (a + b) // 2 <= at + longest]
        cut = max(within)[1] if within else at + longest
        yield at, cut
        at = cut
        pauses = [pause for pause in pauses if pause[1] > cut]
    yield at, end


def _entry(item: Item, span: Span, rate: int, folder: str) -> dict[str, object]:
    start, stop = span
    entry: dict[str, object] = {
        "id": f"{item.id}@{start * 1000 // rate}-{stop * 1000 // rate}",
        "path": audio_path(item.path, folder),
        "offset": start / rate,
        "duration": (stop - start) / rate,
    }
    return entry if item.member is None else entry | {"member": item.member}
