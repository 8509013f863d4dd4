"""The report: one HTML page with its sound, pictures, style and script inside; it needs no network and no server."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from codectok import __version__, metrics
from codectok.files.page_style import CSS, SCRIPT
from codectok.inspect.comparison import METRICS, OCTAVES, Clip, Reconstruction, Summary
from codectok.inspect.pictures import (
    audio_uri,
    band_position,
    codes_base64,
    codes_uri,
    spectrogram,
    spectrogram_uri,
    thin_codes,
)
from codectok.inspect.strips import CSS as STRIP_CSS
from codectok.inspect.strips import phone_strip, unit_strip
from codectok.metrics.level import OCTAVES as OCTAVE_EDGES
from codectok.metrics.summary import central

_TICK_HZ = (0, 500, 1000, 2000, 4000, 8000, 16000)
_TICK_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)


def render(clips: Sequence[Clip], summaries: Sequence[Summary]) -> str:
    """The page for some clips, all with the same settings."""
    title = f"{_count(len(clips), 'clip')} through {_count(len(summaries), 'tokenizer setting')}"
    links = "".join(f'<a href="#clip-{i}">{escape(clip.name)}</a>' for i, clip in enumerate(clips, 1))
    sections = "\n".join(_section(i, clip) for i, clip in enumerate(clips, 1))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>codectok: {title}</title>
<style>{CSS}{STRIP_CSS}</style>
</head>
<body>
<header><h1>{title}</h1>
<p>Click a picture to play from there; starting another version of a clip goes on at the same place.
Point at the codes to read them.</p></header>
<div class="summary"><div>{_summary_table(summaries)}{f"<nav>{links}</nav>" if len(clips) > 1 else ""}</div></div>
<main>
{sections}
</main>
{_footer(summaries)}
<div id="tip"></div>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' if n != 1 else ''}"


def _rate(value: float) -> str:
    """kbit/s, or tokens/s where they are few."""
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


# -- summary ---------------------------------------------------------------------------------------------------------


def _summary_table(summaries: Sequence[Summary]) -> str:
    head = "".join(f"<th>{escape(_metric_head(name))}</th>" for name in METRICS) + f"<th>{_OCTAVES_HEAD} dB</th>"
    levels = max(len(s.used) for s in summaries)
    rows = "".join(
        f"<tr><td>{escape(s.setting.label)}</td><td>{_rate(s.setting.bitrate)}</td><td>{_rate(s.entropy)}</td>"
        f"<td>{_rate(s.setting.token_rate)}</td>{''.join(_metric_cell(s, name) for name in METRICS)}"
        f"<td>{_octaves({n: central(s.scores[n]) for n in OCTAVES if n in s.scores})}</td>"
        f"<td>{_used(s, levels)}</td></tr>"
        for s in summaries
    )
    return (
        "<table><thead><tr><th>tokenizer</th><th>kbit/s</th><th>entropy kbit/s</th><th>tokens/s</th>"
        f"{head}<th>used codes a level</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _metric_head(name: str) -> str:
    metric = metrics.get_metric(name)
    unit = f" {metric.unit}" if metric.unit and metric.unit != "MOS" else ""
    return f"{metric.label}{unit} {metric.arrow}"


def _metric_cell(summary: Summary, name: str) -> str:
    score, reasons = summary.scores.get(name), summary.failures[name]
    if score is None:
        return f'<td class="none">{escape(reasons[0]) if reasons else "&ndash;"}</td>'
    digits = metrics.get_metric(name).decimals
    least = 10.0**-digits
    if isinstance(score, metrics.Spread):
        shown = f"90&#8239;% ± {score.within:.{digits}f}" if score.n > 1 else ""
    else:
        half = score.half_width
        shown = "" if half is None else f"± &lt;{least:g}" if half < least / 2 else f"± {half:.{digits}f}"
    spread = f' <span class="pm">{shown}</span>' if shown else ""
    failed = f' <span class="pm">({len(reasons)} failed)</span>' if reasons else ""
    return f"<td>{_value(name, central(score))}{spread}{failed}</td>"


_OCTAVES_HEAD = f"octaves {OCTAVE_EDGES[0][0]}&ndash;{OCTAVE_EDGES[-1][1]} Hz"


def _value(name: str, value: float, digits: int | None = None) -> str:
    """A figure, in red past its metric's bound."""
    metric = metrics.get_metric(name)
    text = f"{value:{'+' if metric.signed else ''}.{metric.decimals if digits is None else digits}f}"
    return f'<b class="far" title="past {metric.bound:g} {metric.unit}">{text}</b>' if metric.too_far(value) else text


def _octaves(values: Mapping[str, float]) -> str:
    """The levels of all octaves, lowest first, in whole dB."""
    return " ".join(_value(name, values[name], 0) if name in values else "&ndash;" for name in OCTAVES)


def _used(summary: Summary, levels: int) -> str:
    """Used codes as words, with a small bar for each level and room for ``levels`` of them."""
    sizes = summary.setting.tokenizer.codebook_sizes
    few, many = min(summary.used), max(summary.used)
    sizes_used = sorted(set(sizes[: len(summary.used)]))
    words = f"{few}&#8239;&ndash;&#8239;{many}" if few != many else str(few)
    words += f" of {sizes_used[0]}" if len(sizes_used) == 1 else f" of {sizes_used[0]} to {sizes_used[-1]}"
    bars = "".join(
        f'<rect class="all" x="{5 * i}" width="4" height="16"/>'
        f'<rect x="{5 * i}" y="{16 - 16 * n / size:.1f}" width="4" height="{16 * n / size:.1f}"/>'
        for i, (n, size) in enumerate(zip(summary.used, sizes, strict=False))
    )
    width = 5 * levels
    return f'{words}<svg class="used" width="{width}" height="16" viewBox="0 0 {width} 16" role="img">{bars}</svg>'


def _footer(summaries: Sequence[Summary]) -> str:
    frames = ", ".join(f"{s.num_frames} frames of {escape(s.setting.label)}" for s in summaries)
    cited = "; ".join(
        f"{m.label}: {m.reference}{', ' + m.unit if m.unit else ''}" for m in map(metrics.get_metric, METRICS)
    )
    bounds = ", ".join(
        f"{m.label} {m.bound:g} {m.unit}" for m in map(metrics.get_metric, METRICS) if math.isfinite(m.bound)
    )
    return f"""<footer>
<p>kbit/s and tokens/s are nominal: frame rate times codebooks, times log2 of their sizes. Entropy kbit/s is what an
ideal coder of each level's code counts would need; it is too low, and so are the used codes, while there are few
frames ({frames}).</p>
<p>± is half of the bootstrap 95&#8239;% interval over clips. Level and octaves: decoded over original,
median over clips, + is too loud; 90&#8239;% ± x: nine clips of ten are within x of 0. Red is past a bound ({bounds}).
PESQ and STOI are deaf to level, also to that of an octave. {escape(cited)}. Computed on 16-bit audio, at 16 kHz.</p>
<p>Spectrograms: mel frequency axis, 80 dB below the loudest point of the original. Codes: one row a codebook, the
first on top; colour is the code divided by the codebook's size. Units, where there is one codebook: a box for each run
of one unit, and its borders over the spectrogram of the original. codectok {__version__}.</p></footer>"""


# -- one clip --------------------------------------------------------------------------------------------------------


def _section(number: int, clip: Clip) -> str:
    rates = [r.setting.tokenizer.sample_rate for r in clip.reconstructions if r.wave is not None]
    top_hz = max([clip.rate, *rates]) / 2
    original = spectrogram(clip.samples, clip.rate, top_hz)
    loudest = float(original.max())
    shown = f"{clip.seconds:.2f} s, {clip.rate / 1000:g} kHz"
    if clip.total_seconds - clip.seconds > 0.01:
        shown = f"the first {clip.seconds:g} s of {clip.total_seconds:.1f} s, {clip.rate / 1000:g} kHz"
    source = spectrogram_uri(original, loudest)
    phones = phone_strip(clip.phones, clip.seconds) if clip.phones else ""
    rows = [_row("original", "", audio_uri(clip.samples, clip.rate), _plot(source, top_hz) + phones, clip)]
    for item in clip.reconstructions:
        audio, plot = None, ""
        units, borders = unit_strip(item, clip.seconds)
        if units:  # against the spectrogram of what they were made from, also where they cannot be decoded
            plot = _plot(source, top_hz, borders) + units
        if item.wave is not None:
            rate = item.setting.tokenizer.sample_rate
            audio = audio_uri(item.wave, rate)
            plot += _plot(spectrogram_uri(spectrogram(item.wave, rate, top_hz), loudest), top_hz)
        rows.append(_row(item.setting.label, _facts(item), audio, plot + _codes(item, clip.seconds), clip))
    return (
        f'<section id="clip-{number}" data-seconds="{clip.seconds:.6f}">'
        f"<h2>{escape(clip.name)} <small>{shown}</small></h2>\n{''.join(rows)}</section>"
    )


def _facts(item: Reconstruction) -> str:
    """Rates and metrics of one reconstruction."""
    facts = [f"<b>{_rate(item.setting.bitrate)}</b> kbit/s", f"<b>{_rate(item.setting.token_rate)}</b> tokens/s"]
    if item.wave is None:
        facts.append("cannot decode: codes only")
    for name in METRICS:
        metric = metrics.get_metric(name)
        if name in item.values:
            unit = f" {metric.unit}" if metric.unit and metric.unit != "MOS" else ""
            facts.append(f"{escape(metric.label)} <b>{_value(name, item.values[name])}</b>{unit}")
        elif name in item.failures:
            facts.append(escape(item.failures[name]))
    if octaves := {name: item.values[name] for name in OCTAVES if name in item.values}:
        facts.append(f"{_OCTAVES_HEAD} <b>{_octaves(octaves)}</b> dB")
    return " · ".join(facts)


def _row(label: str, facts: str, audio: str | None, plots: str, clip: Clip) -> str:
    player = f'<audio controls preload="auto" src="{audio}"></audio>' if audio else ""
    meta = f'<span class="meta">{facts}</span>' if facts else ""
    return (
        f'<div class="row"><div class="head"><span class="label">{escape(label)}</span>{meta}{player}</div>'
        f'<div class="grid">{plots}<div></div>{_axis(clip.seconds)}</div></div>\n'
    )


def _plot(picture: str, top_hz: float, overlay: str = "") -> str:
    """A spectrogram, what lies over it, and the labels of its frequency axis."""
    heights = [(hz, band_position(hz, top_hz)) for hz in _TICK_HZ if hz <= top_hz]
    labels = "".join(
        f'<span style="bottom:{min(max(100 * y, 4), 95):.1f}%">{f"{hz // 1000} kHz" if hz >= 1000 else hz}</span>'
        for hz, y in heights
    )
    return (
        f'<div class="side">{labels}</div><div class="plot spec"><img alt="spectrogram" src="{picture}">'
        f'{overlay}<div class="head-line"></div></div>'
    )


def _codes(item: Reconstruction, seconds: float) -> str:
    """The codes as a picture as wide as the time they stand for, cut at the end of the clip."""
    codes, step = thin_codes(item.tokens.codes.numpy())
    rate = float(item.tokens.frame_rate)
    levels = len(codes)
    width = 100 * codes.shape[1] * step / rate / seconds
    height = max(14, min(12 * levels, 96), 4 * levels)
    picture = codes_uri(codes, item.tokens.codebook_sizes)
    label = f"1 in {step}" if step > 1 else "codes"
    return (
        f'<div class="side"><span style="top:0;transform:none">{label}</span></div>'
        f'<div class="plot codes" data-codes="{codes_base64(codes)}" data-levels="{levels}" data-step="{step}" '
        f'data-rate="{rate:.9g}"><img alt="codes" style="width:{width:.4f}%;max-width:none;height:{height}px" '
        f'src="{picture}"><div class="head-line"></div></div>'
    )


def _axis(seconds: float) -> str:
    """The time axis, with at most a dozen labels."""
    step = next((s for s in _TICK_SECONDS if seconds / s <= 12), _TICK_SECONDS[-1])
    ticks = [i * step for i in range(int(seconds / step) + 1)]
    # A label at the very end would be cut off.
    spans = "".join(
        f'<span style="left:{100 * t / seconds:.3f}%">{t:g}{" s" if i == 0 else ""}</span>'
        for i, t in enumerate(ticks)
        if t <= 0.985 * seconds
    )
    return f'<div class="axis">{spans}</div>'
