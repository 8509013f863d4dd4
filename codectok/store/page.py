"""``stats.html``: the figures of ``stats.json`` to look at, one file with nothing loaded from elsewhere.

It has no figures of the run (seconds, speed), so that it is the same page however often the run was stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from codectok.files.atomic import atomic_path
from codectok.files.page_style import CSS
from codectok.store.base import StoreInfo

TILE_CSS = """
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .8rem; margin: 1.1rem 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .7rem .9rem; }
.tile b { display: block; font-size: 1.45rem; font-weight: 600; letter-spacing: -.02em; }
.tile span { color: var(--soft); font-size: .82rem; }
section { padding-bottom: .9rem; overflow-x: auto; }
.bar { display: inline-block; width: 7rem; height: .55rem; border-radius: 3px; background: var(--line);
  margin-left: .6rem; overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--accent); }
code { font-size: .85em; overflow-wrap: anywhere; }
"""


def write_page(path: Path, info: StoreInfo, stats: dict[str, Any], part: dict[str, Any]) -> None:
    """Write the page of one store, whole or not at all.

    Args:
        path: of the page.
        info: of the store.
        stats: as in ``stats.json``, ``run`` apart.
        part: as in ``store.json``, for a part of a job.
    """
    with atomic_path(path) as partial:
        partial.write_text(_page(info, stats, part), encoding="utf-8", newline="\n")


def _page(info: StoreInfo, stats: dict[str, Any], part: dict[str, Any]) -> str:
    name, books = escape(info.tokenizer), len(info.codebook_sizes)
    which = f", part {part['part']}" if part else ""
    tiles = [
        (f"{stats['hours_audio']:,.2f}" if stats["hours_audio"] < 1000 else f"{stats['hours_audio']:,.0f}", "hours"),
        (f"{stats['items']:,}", "items"),
        (f"{stats['failed']:,}", "failed"),
        (f"{stats['tokens']:,}", "tokens stored"),
        (f"{stats['token_rate']:,.4g}", "tokens/s of audio"),
        (_size(stats["bytes"]), f"in {escape(info.format)}"),
    ]
    failures = _table(["failure", "items"], ([escape(k), f"{n:,}"] for k, n in stats["failures"].items()))
    sections = [
        ("Size", "of the codes themselves, without ids, lengths and durations of runs", _compression(info, stats)),
        ("Codebooks", "over frames, runs counted in full", _codebooks(stats)),
        *([("Failures", "one by one in errors.jsonl", failures)] if stats["failures"] else []),
    ]
    body = "\n".join(f"<section><h2>{h} <small>{note}</small></h2>{table}</section>" for h, note, table in sections)
    shown = "".join(f'<div class="tile"><b>{value}</b><span>{label}</span></div>' for value, label in tiles)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}: token store</title>
<style>{CSS}{TILE_CSS}</style></head><body>
<header><h1>Tokens of {name}{which}</h1>
<p>{books} codebook{"s" if books > 1 else ""} at {float(info.frame_rate):g} frames/s, {info.sample_rate / 1000:g} kHz.
Tokenizer <code>{escape(info.fingerprint)}</code></p></header>
<main><div class="tiles">{shown}</div>
{body}
</main><footer><p>Perplexity is 2 to the entropy: the number of codes that would be in use if all were equally frequent.
The speed of the run that made the store stands in stats.json.</p></footer></body></html>
"""


def _compression(info: StoreInfo, stats: dict[str, Any]) -> str:
    seconds, frames, k = stats["seconds_audio"], stats["frames"], len(info.codebook_sizes)

    def row(name: str, tokens: int | None, bits: float) -> list[str]:
        share = bits / stats["bits"] if stats["bits"] else 1.0
        rate = f"{bits / seconds / 1000:.4g}" if seconds else "-"
        each = f"{tokens / seconds:,.4g}" if seconds and tokens is not None else "-"
        return [name, "-" if tokens is None else f"{tokens:,}", each, rate, f"{share:.1%}{_bar(share)}"]

    rows = [
        row("codes", frames * k, stats["bits"]),
        row("equal neighbours merged", stats["dedup"]["columns"] * k, stats["dedup"]["bits"]),
    ]
    if "bpe" in stats:
        bpe = stats["bpe"]
        rows.append(row(f"BPE, {bpe['vocab_size']:,} tokens in its vocabulary", bpe["tokens"], bpe["bits"]))
    rows.append(row("entropy of each codebook (what a zero-order coder reaches)", None, _entropy_bits(stats)))
    return _table(["", "tokens", "tokens/s", "kbit/s", "of the codes"], rows)


def _entropy_bits(stats: dict[str, Any]) -> float:
    return float(stats["frames"] * sum(c["entropy_bits"] for c in stats["codebooks"]))


def _codebooks(stats: dict[str, Any]) -> str:
    rows = []
    for k, book in enumerate(stats["codebooks"]):
        used, even = book["used_share"], book["perplexity"] / book["size"]
        cells = [f"{book['size']:,}", f"{used:.1%}{_bar(used)}", f"{book['entropy_bits']:.2f}"]
        rows.append([str(k), *cells, f"{book['perplexity']:,.1f}{_bar(even)}"])
    return _table(["codebook", "codes", "in use", "entropy, bits", "perplexity, of its codes"], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>{lines}</table>"


def _bar(share: float) -> str:
    return f'<span class="bar"><i style="width:{min(1.0, share):.1%}"></i></span>'


def _size(size: int) -> str:
    for unit, scale in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if size < 1000 * scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size / 1e12:.3g} TB"
