"""The tables of ``codectok units score``."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def print_scores(result: dict[str, Any]) -> None:
    """Print what :mod:`kmeans_units.score` found, as tables as wide as they need."""
    console = Console(width=None if Console().is_terminal else 120, highlight=False)
    clips = f"{result['clips']} clips, {result['seconds'] / 60:.1f} min"
    console.print(f"[bold]{result['tokenizer']}[/bold]  {result['frame_rate']} frames/s, {clips}")
    console.print(_usage(result["codebooks"]))
    if result["bpe"]:
        b = result["bpe"]
        console.print(f"after BPE ({b['vocab_size']} tokens): {b['token_rate']:.2f} tokens/s, {b['bitrate']:.0f} bit/s")
    if "phones" in result["codebooks"][0]:
        reason = result["codebooks"][0]["phones"].get("reason")
        console.print(f"\nno phone scores: {reason}" if reason else _phones(result["codebooks"], result["phones"]))
    if result["abx"]:
        console.print(_abx(result["abx"]))
    if result["robustness"]:
        console.print(_robustness(result["robustness"]))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="", box=None, padding=(0, 2, 0, 0))
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    return table


def _usage(codebooks: list[dict[str, Any]]) -> Table:
    heads = ("", "used", "of", "share", "perplexity", "bit/frame", "nominal bit/s", "entropy bit/s", "tokens/s",
             "dedup. tokens/s", "their bit/s")  # fmt: skip
    table = _table("\n[bold]units[/bold]", *heads)
    for c in codebooks:
        table.add_row(
            c["codebook"], str(c["used"]), str(c["size"]), f"{c['used_share']:.1%}", f"{c['perplexity']:.1f}",
            f"{c['entropy']:.2f}", f"{c['bitrate']:.0f}", f"{c['entropy_bitrate']:.0f}", f"{c['token_rate']:.2f}",
            f"{c['dedup_rate']:.2f}", f"{c['dedup_entropy_bitrate']:.0f}",
        )  # fmt: skip
    return table


def _phones(codebooks: list[dict[str, Any]], source: dict[str, Any]) -> Table:
    first = codebooks[0]["phones"]
    title = (
        f"\n[bold]phones[/bold] of {source['file'] or 'alignment'}: {first['labels']} labels, "
        f"{first['frames']} frames of {first['clips']} clips"
    )
    heads = ("", "PNMI corrected", "held out", "raw", "by chance", "phone purity", "cluster purity")
    table = _table(title, *heads)
    for c in codebooks:
        p = c["phones"]
        table.add_row(
            c["codebook"], _interval(p["corrected"]), _interval(p["held_out"]), f"{p['pnmi']:.3f}",
            f"{p['chance']:.3f}", f"{p['phone_purity']:.3f}", f"{p['cluster_purity']:.3f}",
        )  # fmt: skip
    return table


def _interval(row: dict[str, Any] | None) -> str:
    if row is None:
        return "-"
    half = "" if row["low"] is None else f" ± {(row['high'] - row['low']) / 2:.3f}"
    return f"{row['mean']:.3f}{half}"


def _abx(found: dict[str, Any]) -> Table:
    outside = f", {found['outside']} left out" if found["outside"] else ""
    title = (
        f"\n[bold]ABX error %[/bold], {'in' if found['in_context'] else 'any'} context: {found['items']} items{outside}"
    )
    table = _table(
        title, "of", "within speakers", "phone pairs", "triples", "across speakers", "phone pairs", "triples"
    )
    for name, ways in found["scores"].items():
        cells: list[str] = []
        for way in ("within", "across"):
            score = ways[way]
            known = score["error"] is not None
            cells += [f"{100 * score['error']:.2f}", str(score["pairs"]), str(score["triples"])] if known else ["-"] * 3
        table.add_row(name, *cells)
    return table


def _robustness(found: dict[str, Any]) -> Table:
    heads = [h for name in found["codebooks"] for h in (f"changed, {name}", "edit distance")]
    table = _table(f"\n[bold]robustness[/bold], {found['clips']} clips", "disturbance", *heads)
    for name, changes in found["changes"].items():
        table.add_row(name, *(f"{v:.1%}" for c in changes for v in (c["changed"], c["edit_distance"])))
    return table
