"""``stats.html``: the figures of ``stats.json`` to look at, one file with nothing loaded from elsewhere.

It has no figures of the run (seconds, speed), so that it is the same page however often the run was stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from codectok.files.atomic import atomic_path
from codectok.files.page_style import CSS
from codectok.files.pages import render
from codectok.store.info import StoreInfo

Cell = tuple[str, float | None]
"""Text, and a share of one to draw as a bar."""
Section = tuple[str, str, list[str], list[list[Cell]]]
"""Heading, note, the head of a table and its rows."""
TEMPLATE = Path(__file__).with_name("page.html.jinja")


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
    tiles = [
        (f"{stats['hours_audio']:,.2f}" if stats["hours_audio"] < 1000 else f"{stats['hours_audio']:,.0f}", "hours"),
        (f"{stats['items']:,}", "items"),
        (f"{stats['failed']:,}", "failed"),
        (f"{stats['tokens']:,}", "tokens stored"),
        (f"{stats['token_rate']:,.4g}", "tokens/s of audio"),
        (_size(stats["bytes"]), f"in {info.format}"),
    ]
    sections: list[Section] = [_compression(info, stats), _codebooks(stats)]
    if stats["failures"]:
        rows: list[list[Cell]] = [[(kind, None), (f"{n:,}", None)] for kind, n in stats["failures"].items()]
        sections.append(("Failures", "one by one in errors.jsonl", ["failure", "items"], rows))
    return render(TEMPLATE, css=CSS, info=info, part=part, tiles=tiles, sections=sections)


def _compression(info: StoreInfo, stats: dict[str, Any]) -> Section:
    seconds, frames, k = stats["seconds_audio"], stats["frames"], len(info.codebook_sizes)

    def row(name: str, tokens: int | None, bits: float) -> list[Cell]:
        share = bits / stats["bits"] if stats["bits"] else 1.0
        rate = f"{bits / seconds / 1000:.4g}" if seconds else "-"
        each = f"{tokens / seconds:,.4g}" if seconds and tokens is not None else "-"
        texts = [name, "-" if tokens is None else f"{tokens:,}", each, rate]
        return [*((text, None) for text in texts), (f"{share:.1%}", share)]

    rows = [
        row("codes", frames * k, stats["bits"]),
        row("equal neighbours merged", stats["dedup"]["columns"] * k, stats["dedup"]["bits"]),
    ]
    if "bpe" in stats:
        bpe = stats["bpe"]
        rows.append(row(f"BPE, {bpe['vocab_size']:,} tokens in its vocabulary", bpe["tokens"], bpe["bits"]))
    rows.append(row("entropy of each codebook (what a zero-order coder reaches)", None, _entropy_bits(stats)))
    note = "of the codes themselves, without ids, lengths and durations of runs"
    return "Size", note, ["", "tokens", "tokens/s", "kbit/s", "of the codes"], rows


def _entropy_bits(stats: dict[str, Any]) -> float:
    return float(stats["frames"] * sum(c["entropy_bits"] for c in stats["codebooks"]))


def _codebooks(stats: dict[str, Any]) -> Section:
    rows: list[list[Cell]] = []
    for k, book in enumerate(stats["codebooks"]):
        used, even = book["used_share"], book["perplexity"] / book["size"]
        rows.append(
            [
                (str(k), None),
                (f"{book['size']:,}", None),
                (f"{used:.1%}", used),
                (f"{book['entropy_bits']:.2f}", None),
                (f"{book['perplexity']:,.1f}", even),
            ]
        )
    head = ["codebook", "codes", "in use", "entropy, bits", "perplexity, of its codes"]
    return "Codebooks", "over frames, runs counted in full", head, rows


def _size(size: int) -> str:
    for unit, scale in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if size < 1000 * scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size / 1e12:.3g} TB"
