"""Units and phones in the page: strips of boxes in time, and the borders of the units over the spectrogram."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from codectok.inspect.comparison import Reconstruction
from codectok.inspect.units import runs, unit_colour
from codectok.metrics.segments import Segment

MAX_FRAME_RATE = 200.0
"""Hz: with more frames a second than this, units are no segments that an eye can tell apart."""
MAX_RUNS = 3000
_LETTER_SECONDS = 0.0075
"""Width of a letter on a page as wide as a second and a half of a clip; longer clips have less room."""
_WIDE_SECONDS = 1.5


def is_units(item: Reconstruction) -> bool:
    """Whether a setting's codes are one row of units, slow enough to be shown as segments."""
    return item.setting.num_codebooks == 1 and float(item.tokens.frame_rate) <= MAX_FRAME_RATE


def unit_strip(item: Reconstruction, seconds: float) -> tuple[str, str]:
    """The units of a clip as a strip of boxes, and their borders as lines to lay over a spectrogram; "" for none."""
    if not is_units(item):
        return "", ""
    found = [(u, a, min(b, seconds)) for u, a, b in runs(item.tokens.expand().codes[0].numpy(),
                                                         float(item.tokens.frame_rate)) if a < seconds]  # fmt: skip
    if len(found) > MAX_RUNS:
        return "", ""
    boxes = [
        (str(u), a, b, "rgb({:.0f} {:.0f} {:.0f})".format(*(255 * c for c in unit_colour(u)))) for u, a, b in found
    ]
    lines = "".join(
        f'<line x1="{x:.3f}" x2="{x:.3f}" y1="0" y2="1"/>' for x in (100 * a / seconds for _, a, _ in found[1:])
    )
    overlay = f'<svg class="borders" viewBox="0 0 100 1" preserveAspectRatio="none">{lines}</svg>'
    return _strip("units", boxes, seconds), overlay


def phone_strip(phones: Sequence[Segment], seconds: float) -> str:
    """Labels of a clip as a strip of boxes."""
    return _strip(
        "phones", [(s.label, s.onset, min(s.offset, seconds), "") for s in phones if s.onset < seconds], seconds
    )


def _strip(name: str, boxes: Sequence[tuple[str, float, float, str]], seconds: float) -> str:
    letter = _LETTER_SECONDS * max(1.0, seconds / _WIDE_SECONDS)
    spans = []
    for label, start, end, colour in boxes:
        style = f"left:{100 * start / seconds:.3f}%;width:{100 * (end - start) / seconds:.3f}%"
        style += f";background:{colour}" if colour else ""
        text = escape(label) if end - start >= (len(label) + 0.6) * letter else ""
        spans.append(f'<span style="{style}" title="{escape(label)}, {start:.2f}-{end:.2f} s">{text}</span>')
    side = f'<div class="side"><span style="top:0;transform:none">{name}</span></div>'
    return f'{side}<div class="strip">{"".join(spans)}</div>'


CSS = """
.strip { position: relative; height: 16px; margin-top: 3px; background: var(--line); overflow: hidden; }
.strip span { position: absolute; top: 0; bottom: 0; overflow: hidden; text-align: center; font-size: 9px;
  line-height: 16px; color: #1c1b1a; background: #e8e4dc; border-left: 1px solid #fff; }
svg.borders { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
svg.borders line { stroke: #ffffff70; stroke-width: 1px; vector-effect: non-scaling-stroke; }
"""
