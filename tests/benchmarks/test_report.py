"""Rows to figures: means, marks, ranks, gaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.report.book import Book
from benchmarks.report.compare import compare
from benchmarks.report.gaps import gaps
from benchmarks.report.table import metric_head
from benchmarks.report.tables import rank_column
from codectok.metrics.bootstrap import bootstrap_mean
from tests.benchmarks.report_rows import Folder, info, make_results, row

SI = ("si", "mini-si", "linear")
ASR = ("asr", "mini-asr", "bilstm")
RESYNTHESIS = ("resynthesis", "mini-resynthesis", "")


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    return make_results(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def book(results) -> Book:
    return Book(results)


def column(book, key, metric, test="test"):
    return next(c for c in book.columns[key] if (c.metric, c.test) == (metric, test))


# -- figures ---------------------------------------------------------------------------------------------------------


def test_a_figure_is_the_mean_over_seeds(book):
    figure = column(book, SI, "accuracy").of("units")
    rows = (r for r in book.rows if (r["task"], r["probe"], r["input"]["spec"]) == ("si", "linear", "units"))
    values = [r["scores"][0]["value"] for r in rows]
    assert len(values) == 3
    assert figure.mean == pytest.approx(np.mean(values))
    assert figure.half_width == pytest.approx(4.302653 * np.std(values, ddof=1) / 3**0.5, abs=1e-4)
    assert (figure.over, figure.n, figure.failures) == ("seeds", 60, 0)


def test_one_seed_has_an_interval_over_clips(book):
    figure = column(book, RESYNTHESIS, "pesq").of("speech 1.5 kbit/s")
    items = [value for value, _ in figure.items[0].values()]
    assert figure.over == "clips"
    assert (figure.low, figure.high) == (bootstrap_mean(items).low, bootstrap_mean(items).high)


def test_floors_and_seeds_are_never_mixed(book):
    labels = [g.system.label for g in book.of(SI)]
    assert len(set(labels)) == len(labels)
    assert "speech 1.5 kbit/s (shuffled-labels)" in labels
    assert all(len({r["seed"] for r in g.rows}) == len(g.rows) for g in book.groups)


def test_rows_of_one_seed_and_two_budgets_stay_apart(tmp_path):
    f, inp = Folder(), info("units", "units", "discrete", 0.5)
    for steps, value in ((10, 20.0), (99, 60.0)):
        budget = {"steps": steps, "batch": 1, "rates": [1], "sweep_steps": 0}
        f.rows.append(f.bare(row("si", "d", inp, "linear", 0, budget=budget, more=steps), "accuracy", value))
        f.rows.append(f.bare(row("si", "d", inp, "linear", 0, budget=budget, more=(steps, "again")), "accuracy", 90.0))
    figures = Book(f.write(tmp_path)).columns["si", "d", "linear"][0].figures
    values = {x.group.system.label: x.mean for x in figures}
    assert values == {"units": 20.0, "units #2": 90.0, "units #3": 60.0, "units #4": 90.0}


def test_a_seed_that_failed_is_told_and_the_others_count(book):
    figure = column(book, ("lid", "mini-lid", "linear"), "accuracy").of("units")
    assert (len(figure.values), figure.missing) == (2, "")
    assert figure.reasons == ("failed: RuntimeError: shapes <2 x 3> and [4] do not fit",)


# -- marks, ranks, gaps ----------------------------------------------------------------------------------------------


def two_systems(tmp_path, values, weights=None, seeds=1):
    """A book with systems named a, b, ... whose clips have these values."""
    f = Folder()
    for number, many in enumerate(values):
        inp = info("abcdef"[number], f"sys{number}", "discrete", 1.0)
        pairs = [(v, 1 if weights is None else w) for v, w in zip(many, weights or many, strict=True)]
        for seed in range(seeds):
            r = row("si" if weights is None else "asr", "d", inp, "linear", seed)
            f.rows.append(f.scored(r, "accuracy" if weights is None else "wer", pairs, scale=100.0))
    return Book(f.write(tmp_path))


def test_the_best_and_what_is_not_told_apart_are_marked(tmp_path):
    good, near, bad = [1.0] * 30 + [0.0] * 10, [1.0] * 29 + [0.0] * 11, [1.0] * 8 + [0.0] * 32
    found = two_systems(tmp_path, [good, near, bad]).columns["si", "d", "linear"][0]
    assert found.marks == {"a": "best", "b": "tied"}
    apart = {(p.first.group.system.label, p.second.group.system.label): p for p in found.pairs}
    assert apart["a", "b"].difference == pytest.approx(2.5)
    assert apart["a", "b"].p == 1.0  # one clip differs: both signs reach it
    assert apart["a", "c"].adjusted == pytest.approx(3 * apart["a", "c"].p, rel=0.6)
    assert apart["a", "c"].test == "sign-flip permutation"


def test_error_rates_are_tested_as_ratios_and_lower_is_better(tmp_path):
    words = [4, 6, 8, 10] * 10
    found = two_systems(tmp_path, [[w / 2 for w in words], [w / 4 for w in words]], words).columns[
        "asr", "d", "linear"
    ][0]
    assert found.marks == {"b": "best"}
    assert found.pairs[0].test == "paired bootstrap"
    assert found.pairs[0].difference == pytest.approx(25.0)


def test_without_items_only_the_best_is_marked(book):
    found = column(book, SI, "f1")
    assert not found.pairs
    assert set(found.marks.values()) == {"best"}


def test_floors_and_continuous_inputs_are_never_marked_best(book):
    for key in book.keys:
        for c in book.columns[key]:
            assert all(c.of(label).group.system.codes for label in c.marks)
            groups = {f.group.system.group for p in c.pairs for f in (p.first, p.second)}
            assert not groups & {"floors", "ceiling"}  # they would weaken the correction of the others


def test_ranks_are_means_over_tasks_and_ties_share(tmp_path):
    f = Folder()
    scores = {"si": (90, 90, 10), "asr": (30, 20, 10)}  # accuracy: 1.5 1.5 3; WER: 3 2 1
    for task, values in scores.items():
        for name, value in zip("abc", values, strict=True):
            r = row(task, task, info(name, name, "discrete", 1.0), "p", 0)
            f.rows.append(f.bare(r, "accuracy" if task == "si" else "wer", float(value)))
    columns = [c for many in Book(f.write(tmp_path)).columns.values() for c in many]
    assert rank_column(columns) == {"a": "2.25", "b": "1.75", "c": "2.00"}


def test_the_gap_is_codes_minus_features_of_one_tokenizer(book):
    found = {(g.column.key, g.codes.group.system.label): g for g in gaps(book) if g.column.metric == "wer"}
    gap = found[ASR, "speech 1.5 kbit/s"]
    assert gap.features.group.system.label == "speech features"
    apart = np.array(gap.codes.values) - np.array(gap.features.values)
    assert gap.mean == pytest.approx(apart.mean())
    assert gap.high - gap.mean == pytest.approx(4.302653 * apart.std(ddof=1) / 3**0.5, abs=1e-4)
    assert all("random" not in name and "log-mel" not in name for _, name in found)


# -- signed metrics --------------------------------------------------------------------------------------------------


def test_of_a_signed_metric_what_is_nearer_to_0_is_better(tmp_path):
    f = Folder()
    for kbps, levels in ((1.5, [12.0, 13.0, 11.0] * 10), (3.0, [-2.0, -1.9, -2.1] * 10), (6.0, [2.0, 1.9, 2.1] * 10)):
        r = row("resynthesis", "d", info(f"speech {kbps} kbit/s", f"speech@{kbps}", "discrete", kbps), "", 0)
        f.rows.append(f.scored(r, "level", [(v, 1) for v in levels]))
    book = Book(f.write(tmp_path / "a"))
    marks = column(book, ("resynthesis", "d", ""), "level").marks
    assert {"best", "tied"} == {marks["speech 3.0 kbit/s"], marks["speech 6.0 kbit/s"]}  # 2 dB either way is as wrong
    assert "speech 1.5 kbit/s" not in marks
    ranks = rank_column(book.columns["resynthesis", "d", ""])
    assert ranks["speech 1.5 kbit/s"] == "3.00"
    assert metric_head("level") == "level dB →0"

    other = Folder()
    r = row("resynthesis", "d", info("speech 1.5 kbit/s", "speech@1.5", "discrete", 1.5), "", 0)
    other.rows.append(other.scored(r, "level", [(-3.0, 1)] * 30))
    (line,) = [x for x in compare(tmp_path / "a", other.write(tmp_path / "b")) if x["b - a"] is not None]
    assert (line["b - a"], line["better"]) == (pytest.approx(-15.0), "b")
