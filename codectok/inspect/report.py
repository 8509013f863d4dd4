"""The report: one HTML page with its sound, pictures, style and script inside; it needs no network and no server."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codectok import __version__, metrics
from codectok.files.page_style import CSS, SCRIPT
from codectok.files.pages import render as render_page
from codectok.inspect.comparison import METRICS, OCTAVES, Decoded, InspectedClip, SettingSummary
from codectok.inspect.pictures import (
    audio_uri,
    band_position,
    codes_base64,
    codes_uri,
    spectrogram,
    spectrogram_uri,
    thin_codes,
)
from codectok.inspect.strips import phone_strip, unit_strip
from codectok.metrics.level import OCTAVES as OCTAVE_EDGES
from codectok.metrics.summary import central

Values = dict[str, Any]
"""What the template is given of one thing; the template says what it needs."""
TEMPLATE = Path(__file__).with_name("report.html.jinja")
OCTAVE_HEAD = f"octaves {OCTAVE_EDGES[0][0]}\u2013{OCTAVE_EDGES[-1][1]} Hz"
_TICK_HZ = (0, 500, 1000, 2000, 4000, 8000, 16000)
_TICK_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)


def render(clips: Sequence[InspectedClip], summaries: Sequence[SettingSummary]) -> str:
    """The page for some clips, all with the same settings."""
    shown = [metrics.get_metric(name) for name in METRICS]
    return render_page(
        TEMPLATE,
        css=CSS,
        script=SCRIPT,
        version=__version__,
        title=f"{_count(len(clips), 'clip')} through {_count(len(summaries), 'tokenizer setting')}",
        heads=[f"{m.label}{_unit(m)} {m.arrow}" for m in shown],
        octave_head=OCTAVE_HEAD,
        levels=max(len(s.used) for s in summaries),
        rows=[_summary_row(s) for s in summaries],
        clips=[_clip(clip) for clip in clips],
        frames=", ".join(f"{s.num_frames} frames of {s.setting.label}" for s in summaries),
        cited="; ".join(f"{m.label}: {m.reference}{', ' + m.unit if m.unit else ''}" for m in shown),
        bounds=", ".join(f"{m.label} {m.bound:g} {m.unit}" for m in shown if math.isfinite(m.bound)),
    )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' if n != 1 else ''}"


def _unit(metric: metrics.Metric) -> str:
    return f" {metric.unit}" if metric.unit and metric.unit != "MOS" else ""


def _rate(value: float) -> str:
    """kbit/s, or tokens/s where they are few."""
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _figure(name: str, value: float, digits: int | None = None) -> Values:
    """A figure, and the bound of its metric where it is past that."""
    metric = metrics.get_metric(name)
    text = f"{value:{'+' if metric.signed else ''}.{metric.decimals if digits is None else digits}f}"
    return {"text": text, "past": f"{metric.bound:g} {metric.unit}" if metric.too_far(value) else ""}


def _octaves(values: Mapping[str, float]) -> list[Values | None]:
    """The levels of all octaves, lowest first, in whole dB."""
    return [_figure(name, values[name], 0) if name in values else None for name in OCTAVES]


# -- summary ---------------------------------------------------------------------------------------------------------


def _summary_row(summary: SettingSummary) -> Values:
    setting, sizes = summary.setting, summary.setting.tokenizer.codebook_sizes
    few, many = min(summary.used), max(summary.used)
    of = sorted(set(sizes[: len(summary.used)]))
    words = f"{few}\u202f\u2013\u202f{many}" if few != many else str(few)
    return {
        "label": setting.label,
        "bitrate": _rate(setting.bitrate),
        "entropy": _rate(summary.entropy),
        "token_rate": _rate(setting.token_rate),
        "scores": [_score(summary, name) for name in METRICS],
        "octaves": _octaves({n: central(summary.scores[n]) for n in OCTAVES if n in summary.scores}),
        "used": f"{words} of {of[0]}" if len(of) == 1 else f"{words} of {of[0]} to {of[-1]}",
        "bars": [n / size for n, size in zip(summary.used, sizes, strict=False)],
    }


def _score(summary: SettingSummary, name: str) -> Values:
    score, reasons = summary.scores.get(name), summary.failures[name]
    if score is None:
        return {"figure": None, "reason": reasons[0] if reasons else ""}
    digits = metrics.get_metric(name).decimals
    least = 10.0**-digits
    if isinstance(score, metrics.Spread):
        shown = f"90\u202f% ± {score.within:.{digits}f}" if score.n > 1 else ""
    else:
        half = score.half_width
        shown = "" if half is None else f"± <{least:g}" if half < least / 2 else f"± {half:.{digits}f}"
    return {"figure": _figure(name, central(score)), "spread": shown, "failed": len(reasons)}


# -- one clip --------------------------------------------------------------------------------------------------------


def _clip(clip: InspectedClip) -> Values:
    rates = [r.setting.tokenizer.sample_rate for r in clip.reconstructions if r.wave is not None]
    top_hz = max([clip.rate, *rates]) / 2
    original = spectrogram(clip.samples, clip.rate, top_hz)
    loudest = float(original.max())
    shown = f"{clip.seconds:.2f} s, {clip.rate / 1000:g} kHz"
    if clip.total_seconds - clip.seconds > 0.01:
        shown = f"the first {clip.seconds:g} s of {clip.total_seconds:.1f} s, {clip.rate / 1000:g} kHz"
    source = spectrogram_uri(original, loudest)
    parts = [_plot(source, top_hz)]
    if clip.phones:
        parts.append(("strip", phone_strip(clip.phones, clip.seconds)))
    rows: list[Values] = [
        {"label": "original", "facts": [], "audio": audio_uri(clip.samples, clip.rate), "parts": parts}
    ]
    for item in clip.reconstructions:
        parts, audio = [], None
        if units := unit_strip(item, clip.seconds):
            # Against the spectrogram of what they were made from, also where they cannot be decoded.
            strip, borders = units
            parts = [_plot(source, top_hz, borders), ("strip", strip)]
        if item.wave is not None:
            rate = item.setting.tokenizer.sample_rate
            audio = audio_uri(item.wave, rate)
            parts.append(_plot(spectrogram_uri(spectrogram(item.wave, rate, top_hz), loudest), top_hz))
        parts.append(("codes", _codes(item, clip.seconds)))
        rows.append({"label": item.setting.label, "facts": _facts(item), "audio": audio, "parts": parts})
    return {"name": clip.name, "seconds": clip.seconds, "shown": shown, "rows": rows, "axis": _axis(clip.seconds)}


def _facts(item: Decoded) -> list[Values]:
    """Rates and metrics of one reconstruction: words, figures, a unit."""

    def fact(before: str, figures: Sequence[Values | None] = (), after: str = "") -> Values:
        return {"before": before, "figures": figures, "after": after}

    setting = item.setting
    facts = [fact("", [{"text": _rate(setting.bitrate), "past": ""}], "kbit/s")]
    facts.append(fact("", [{"text": _rate(setting.token_rate), "past": ""}], "tokens/s"))
    if item.wave is None:
        facts.append(fact("cannot decode: codes only"))
    for name in METRICS:
        metric = metrics.get_metric(name)
        if name in item.values:
            facts.append(fact(metric.label, [_figure(name, item.values[name])], _unit(metric).strip()))
        elif name in item.failures:
            facts.append(fact(item.failures[name]))
    if octaves := {name: item.values[name] for name in OCTAVES if name in item.values}:
        facts.append(fact(OCTAVE_HEAD, _octaves(octaves), "dB"))
    return facts


def _plot(picture: str, top_hz: float, borders: Sequence[float] = ()) -> tuple[str, Values]:
    """A spectrogram, borders over it in percent of its width, and the labels of its frequency axis."""
    heights = [(hz, 100 * band_position(hz, top_hz)) for hz in _TICK_HZ if hz <= top_hz]
    labels = [(f"{hz // 1000} kHz" if hz >= 1000 else str(hz), min(max(y, 4), 95)) for hz, y in heights]
    return "spectrogram", {"picture": picture, "borders": borders, "labels": labels}


def _codes(item: Decoded, seconds: float) -> Values:
    """The codes as a picture as wide as the time they stand for, cut at the end of the clip."""
    codes, step = thin_codes(item.tokens.codes.numpy())
    rate, levels = float(item.tokens.frame_rate), len(codes)
    return {
        "codes": codes_base64(codes),
        "levels": levels,
        "step": step,
        "rate": rate,
        "width": 100 * codes.shape[1] * step / rate / seconds,
        "height": max(14, min(12 * levels, 96), 4 * levels),
        "picture": codes_uri(codes, item.tokens.codebook_sizes),
        "label": f"1 in {step}" if step > 1 else "codes",
    }


def _axis(seconds: float) -> list[tuple[float, str]]:
    """The time axis, with at most a dozen labels: places in percent, and words."""
    step = next((s for s in _TICK_SECONDS if seconds / s <= 12), _TICK_SECONDS[-1])
    ticks = [i * step for i in range(int(seconds / step) + 1)]
    # A label at the very end would be cut off.
    shown = [t for t in ticks if t <= 0.985 * seconds]
    return [(100 * t / seconds, f"{t:g}{' s' if i == 0 else ''}") for i, t in enumerate(shown)]
