"""What discreteness costs: codes minus the continuous features of the same tokenizer, under one probe and budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .aggregate import Figure
from .book import Book, Column
from .items import metric_of
from .stats import t_interval
from .systems import CONTINUOUS, QUANTIZED
from .table import ReportTable, TableCell, TableLine, number
from .tables import task_words


@dataclass(frozen=True)
class Gap:
    """Codes (or what they say of the features) minus features, in the metric's unit.

    Attributes:
        column: whose.
        codes, features: the two figures.
        mean, low, high: of the difference, over the seeds that both have; bounds None for one seed.
        adjusted: p of the paired test over clips, corrected with the other pairs of its column; None without a test.
    """

    column: Column
    codes: Figure
    features: Figure
    mean: float
    low: float | None
    high: float | None
    adjusted: float | None


def gaps(book: Book) -> Iterator[Gap]:
    """Of every headline column and tokenizer that has both arms; floors are left out."""
    for key in book.keys:
        for column in book.headline(key):
            for features in column.figures:
                if features.group.system.group != CONTINUOUS or features.mean is None:
                    continue
                for codes in column.figures:
                    system = codes.group.system
                    same = system.family == features.group.system.family
                    if same and (system.codes or system.group == QUANTIZED) and codes.mean is not None:
                        yield _gap(column, codes, features)


def _gap(column: Column, codes: Figure, features: Figure) -> Gap:
    seeds = [{r["seed"]: v for r, v in zip(f.group.done, f.values, strict=False)} for f in (codes, features)]
    same = (
        [s for s in seeds[0] if s in seeds[1]]
        if all(len(f.values) == len(f.group.done) for f in (codes, features))
        else []
    )
    found = t_interval([seeds[0][s] - seeds[1][s] for s in same]) if len(same) > 1 else None
    pair = next((p for p in column.pairs if {id(p.first), id(p.second)} == {id(codes), id(features)}), None)
    assert codes.mean is not None
    assert features.mean is not None
    mean = found.mean if found else codes.mean - features.mean
    low, high = (found.low, found.high) if found else (None, None)
    return Gap(column, codes, features, mean, low, high, pair.adjusted if pair else None)


def gap_table(found: list[Gap]) -> ReportTable:
    """Every gap as a line."""
    lines = []
    for gap in found:
        metric = metric_of(gap.column.metric)
        half = "" if gap.low is None or gap.high is None else f"± {(gap.high - gap.low) / 2:.{metric.decimals}f}"
        gain = metric.goodness(gap.codes.mean or 0.0) - metric.goodness(gap.features.mean or 0.0)
        who = "codes" if gain > 0 else "features" if gain else "neither"
        lines.append(
            TableLine(
                (
                    TableCell(task_words(gap.column.key)),
                    TableCell(gap.codes.group.system.label),
                    TableCell(f"{metric.label}{f' {metric.unit}' if metric.unit else ''}"),
                    TableCell(number(gap.codes.mean or 0.0, gap.column.metric)),
                    TableCell(number(gap.features.mean or 0.0, gap.column.metric)),
                    TableCell(f"{gap.mean:+.{metric.decimals}f}", half),
                    TableCell(who),
                    TableCell("no test" if gap.adjusted is None else p_words(gap.adjusted)),
                )
            )
        )
    head = ("task", "codes", "metric", "codes' figure", "features' figure", "difference", "better", "p (clips, Holm)")
    about = (
        "Difference: codes minus the continuous features of the same tokenizer, with the same probe, budget and "
        "seeds; ± is half the 95 % interval over the seeds' differences (Student's t). p: paired test over the same "
        "clips."
    )
    return ReportTable("gaps", "Discrete minus continuous", head, tuple(lines), about, 3)


def p_words(p: float) -> str:
    """A p-value for people."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
