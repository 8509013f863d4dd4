"""Names in reports are text: no formula of a spreadsheet, no markup, no line of their own."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from benchmarks.report.markdown import markdown, to_csv
from benchmarks.report.table import ReportTable, TableCell, TableLine
from codectok.files.pages import render


def table(name: str) -> ReportTable:
    return ReportTable("t", "T", ("name", "value"), (TableLine((TableCell(name), TableCell("-0.5"))),))


@pytest.mark.parametrize(
    "name", ["=cmd|' /C calc'!A0", "+1+cmd|' /C calc'!A0", "-1+2", "@SUM(1)", "\t=1", "\r=1", " =1", "-x()"]
)
def test_a_name_like_a_formula_is_text(name: str) -> None:
    head, row = csv.reader(io.StringIO(to_csv(table(name))))
    assert head == ["name", "value"]
    assert row == ["'" + name.strip(), "-0.5"]


@pytest.mark.parametrize("figure", ["-0.5", "+1.25", "-1e-05", "-3.1 ± 0.2", "-", "12", "+0.3 ± <0.1", "-inf"])
def test_figures_stay_figures(figure: str) -> None:
    _, row = csv.reader(io.StringIO(to_csv(table(figure))))
    assert row[0] == figure


def test_line_ends_and_markup_in_names_are_text(tmp_path: Path) -> None:
    name = "a\nb\r\n<script>alert(1)</script>|c"
    assert len(to_csv(table(name)).splitlines()) == 2
    text = markdown(table(name))
    assert "<script" not in text
    assert sum(line.startswith("|") for line in text.splitlines()) == 3
    template = tmp_path / "page.jinja"
    template.write_text("<p title='{{ name }}'>{{ name }}</p>")
    assert "<script" not in render(template, name=name + "'\"")
