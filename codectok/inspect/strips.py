"""Units and phones in the page: strips of boxes in time, and the borders of the units over the spectrogram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from codectok.inspect.comparison import Decoded
from codectok.inspect.units import runs, unit_colour
from codectok.metrics.segments import Segment

Strip = dict[str, Any]
"""Name and boxes, as the page shows them."""
MAX_FRAME_RATE = 200.0
"""Hz: with more frames a second than this, units are no segments that an eye can tell apart."""
MAX_RUNS = 3000
_LETTER_SECONDS = 0.0075
"""Width of a letter on a page as wide as a second and a half of a clip; longer clips have less room."""
_WIDE_SECONDS = 1.5


def is_units(item: Decoded) -> bool:
    """Whether a setting's codes are one row of units, slow enough to be shown as segments."""
    return item.setting.num_codebooks == 1 and float(item.tokens.frame_rate) <= MAX_FRAME_RATE


def unit_strip(item: Decoded, seconds: float) -> tuple[Strip, list[float]] | None:
    """The units of a clip as a strip of boxes, and their borders, in percent of the clip; None for no units."""
    if not is_units(item):
        return None
    frames = item.tokens.expand().codes[0].numpy()
    found = [(u, a, min(b, seconds)) for u, a, b in runs(frames, float(item.tokens.frame_rate)) if a < seconds]
    if len(found) > MAX_RUNS:
        return None
    boxes = [
        (str(u), a, b, "rgb({:.0f} {:.0f} {:.0f})".format(*(255 * c for c in unit_colour(u)))) for u, a, b in found
    ]
    return _strip("units", boxes, seconds), [100 * a / seconds for _, a, _ in found[1:]]


def phone_strip(phones: Sequence[Segment], seconds: float) -> Strip:
    """Labels of a clip as a strip of boxes."""
    boxes = [(s.label, s.onset, min(s.offset, seconds), "") for s in phones if s.onset < seconds]
    return _strip("phones", boxes, seconds)


def _strip(name: str, boxes: Sequence[tuple[str, float, float, str]], seconds: float) -> Strip:
    letter = _LETTER_SECONDS * max(1.0, seconds / _WIDE_SECONDS)
    shown = []
    for label, start, end, colour in boxes:
        style = f"left:{100 * start / seconds:.3f}%;width:{100 * (end - start) / seconds:.3f}%"
        style += f";background:{colour}" if colour else ""
        text = label if end - start >= (len(label) + 0.6) * letter else ""
        shown.append({"style": style, "title": f"{label}, {start:.2f}-{end:.2f} s", "text": text})
    return {"name": name, "boxes": shown}
