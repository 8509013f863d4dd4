"""The report's folder, and two results compared: what has no score stays in every output."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from benchmarks.report import compare, sound, write_report
from benchmarks.report.book import Book
from benchmarks.report.tables import headline_tables, task_tables
from codectok.errors import FormatError
from tests.benchmarks.report_rows import make_results


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    return make_results(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def out(results, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(results, folder)
    return folder


def read(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_what_has_no_score_is_in_every_output_with_its_reason(out):
    html, text = (out / "report.html").read_text(), (out / "report.md").read_text()
    figures = read(out / "tables" / "figures.csv")
    for reason in ("no folder {whisper}: give --folder whisper=DIR", "shapes &lt;2 x 3> and [4] do not fit",
                   "units cannot be decoded", "MemoryError: out of memory", "speechmos is not installed"):  # fmt: skip
        plain = reason.replace("&lt;", "<")
        assert plain in text.replace("&lt;", "<")
        assert plain in html.replace("&lt;", "<").replace("&gt;", ">")
        assert any(plain in line["reasons"] for line in figures)
    assert {line["missing"] for line in figures} == {"", "N.C.", "failed"}
    grid = [line for line in figures if line["table"] == "Discrete against continuous" and line["missing"]]
    assert [(line["row"], line["column"], line["missing"]) for line in grid] == [("continuous", "ASR", "failed")]
    assert sum(line["status"] == "nc" for line in read(out / "tables" / "cells.csv")) == 10
    assert "<2 x 3>" not in html  # escaped


def test_failed_clips_are_counted_beside_n(out):
    lines = read(out / "tables" / "task-asr-mini-asr-bilstm.csv")
    line = next(line for line in lines if line["input"] == "units")
    assert (line["n"], line["failed"]) == ("58", "2")
    assert "audio is damaged" in line["notes"]


def test_every_table_has_ceilings_floors_and_chance(results):
    for table in headline_tables(Book(results)):
        heads = [line.heading for line in table.lines if line.heading]
        assert "floors" in heads
        assert {"ceiling", "continuous"} & set(heads)
    names = [line.cells[0].text for line in next(iter(task_tables(Book(results)))).lines if line.cells]
    assert names[-1] == "chance (95 %)"
    assert "random 1.5 kbit/s" in names


def test_studies_are_pivoted(out):
    lines = read(out / "tables" / "study-k-by-bpe.csv")
    assert list(lines[0]) == ["llm:tiny", "none", "BPE 4000", "BPE 6000"]
    assert [line["llm:tiny"] for line in lines] == ["k1000", "k2000"]
    assert all(re.fullmatch(r"[\d.]+ ± [\d.]+ / [\d.]+ ± [\d.]+", line["BPE 4000"]) for line in lines)
    assert "(clean / other)" in (out / "report.md").read_text()
    arms = read(out / "tables" / "study-discrete-against-continuous.csv")
    assert arms[0]["ASR · WER % ↓"][0].isdigit()
    assert arms[1]["ASR · WER % ↓"] == "failed"


def test_markdown_tables_have_as_many_cells_as_heads(out):
    width = None
    count = 0
    for line in (out / "report.md").read_text().splitlines():
        if not line.startswith("|"):
            width = None
            continue
        cells = len(re.split(r"(?<!\\)\|", line)) - 2
        width = width or cells
        assert cells == width, line
        count += 1
    assert count > 100


def test_the_page_needs_nothing_from_elsewhere(out):
    sources: list[str] = []
    ids: list[str] = []
    open_tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            sources.extend(v for k, v in attrs if k in ("src", "href", "xlink:href", "data") and v)
            ids.extend(v for k, v in attrs if k == "id")
            if tag not in ("meta", "br", "img", "path", "use", "rect", "line"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            if open_tags and open_tags[-1] == tag:
                open_tags.pop()

    text = (out / "report.html").read_text()
    Reader().feed(text)
    assert sum(s.startswith("data:audio/") for s in sources) == 2 * 9
    assert all(s.startswith(("data:", "#")) for s in sources)
    assert not re.search(r"url\((?!#)|@import|<script|<link", text)
    assert len(set(ids)) == len(ids)
    assert {s[1:] for s in sources if s.startswith("#")} <= set(ids)
    assert not open_tags
    assert text.count("<svg") == 7 + 5  # rates, gaps
    assert "#010203" not in text  # plots take the page's colours


def test_sound_is_bounded(results, monkeypatch):
    found, left_out = sound.choose(Book(results))
    assert [(h.clip, h.versions[0][0]) for h in found] == [("test-000", "original"), ("test-001", "original")]
    assert left_out == 0
    monkeypatch.setattr(sound, "LIMIT", sum(len(uri) for _, uri in found[0].versions) + 10)
    found, left_out = sound.choose(Book(results))
    assert [h.clip for h in found] == ["test-000"]
    assert left_out == 1


def test_the_same_rows_give_the_same_bytes(results, out, tmp_path):
    write_report(results / "results.jsonl", tmp_path)
    files = sorted(p.relative_to(out) for p in out.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    for name in files:
        assert (out / name).read_bytes() == (tmp_path / name).read_bytes()


def test_old_tables_go_and_empty_results_are_no_error(tmp_path):
    (tmp_path / "results.jsonl").write_text("")
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "task-old.csv").write_text("")
    write_report(tmp_path, tmp_path)
    assert not (tmp_path / "tables" / "task-old.csv").exists()
    assert "no rows" in (tmp_path / "report.md").read_text()
    with pytest.raises(FormatError, match="no results at"):
        write_report(tmp_path / "nowhere", tmp_path)


# -- two results -----------------------------------------------------------------------------------------------------


def test_compare_with_itself_finds_nothing(results):
    lines = compare(results, results)
    assert {line["b - a"] for line in lines} <= {0.0, None}
    tested = [line for line in lines if line["p (Holm)"] is not None]
    assert len(tested) > 20
    assert {line["p (Holm)"] for line in tested} == {1.0}
    assert all(line["note"].startswith("not compared: a: ") for line in lines if line["b - a"] is None)
    json.dumps(lines)


def test_compare_tells_differences_and_refuses_other_data(results, tmp_path):
    other = make_results(tmp_path)
    rows = [json.loads(line) for line in (other / "results.jsonl").read_text().splitlines()]
    kept = []
    for r in rows:
        if r["dataset"] == "mini-lid":
            r["data"]["sha256"] = "f" * 64
        if (r["task"], r["probe"], r["input"]["spec"]) == ("si", "linear", "units"):
            r["scores"][0]["value"] = 0.0
            path = other / "items" / f"{r['cell']}.jsonl"
            items = [json.loads(line) | {"value": 0.0} for line in path.read_text().splitlines()]
            path.write_text("".join(json.dumps(i) + "\n" for i in items))
        if r["task"] != "asr":
            kept.append(r)
    (other / "results.jsonl").write_text("".join(json.dumps(r) + "\n" for r in kept))
    lines = compare(results, other)
    wanted = {"task": "si", "probe": "linear", "input": "units", "metric": "accuracy"}
    worse = next(x for x in lines if wanted.items() <= x.items())
    assert (worse["b"], worse["b - a"], worse["better"], worse["clips"]) == (0.0, -worse["a"], "a", 60)
    assert worse["p (Holm)"] < 0.05
    for x in lines:
        if x["data set"] == "mini-lid":
            assert x["b - a"] is None
            assert x["note"].startswith("not compared: other data (sha256 ")
            assert "ffffffffffff in b" in x["note"]
        if x["task"] == "asr":
            assert x["note"] == "only in a"
