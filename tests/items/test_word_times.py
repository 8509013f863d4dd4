"""Alignments of every form say the same words at the same times, and reach packing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codectok.errors import FormatError
from codectok.items.label_files import labelled_items, read_labels
from codectok.items.word_times import read_textgrid

WORDS = [("good", 0.1, 0.35), ('"day"', 0.4, 0.8), ("3", 0.8, 1.0)]
LABEL = [[w, a, b] for w, a, b in WORDS]
TIERS = {"words": [("", 0.0, 0.1), WORDS[0], ("sil", 0.35, 0.4), *WORDS[1:]], "phones": [("g", 0.1, 0.2)]}


def textgrid(tiers: dict[str, list[tuple[str, float, float]]], long: bool) -> str:
    """As Praat writes it."""

    def put(name: str, value: object) -> str:
        return f"    {name} = {value} " if long else f"{value}"

    def quoted(word: str) -> str:
        return '"' + word.replace('"', '""') + '"'

    out = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", put("xmin", 0), put("xmax", 1.0)]
    out += ["tiers? <exists>" if long else "<exists>", put("size", len(tiers)), *(["item []:"] if long else [])]
    for i, (name, rows) in enumerate(tiers.items(), 1):
        out += [f"    item [{i}]:"] if long else []
        out += [put("class", '"IntervalTier"'), put("name", quoted(name)), put("xmin", 0), put("xmax", 1.0)]
        out += [put("intervals: size", len(rows))]
        for j, (word, start, end) in enumerate(rows, 1):
            out += [f"        intervals [{j}]:"] if long else []
            out += [put("xmin", start), put("xmax", end), put("text", quoted(word))]
    return "\n".join(out) + "\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("long", [True, False])
def test_textgrids(tmp_path: Path, long: bool, encoding: str) -> None:
    folder = tmp_path / "aligned"
    (folder / "spk").mkdir(parents=True)
    (folder / "spk/a.TextGrid").write_text(textgrid(TIERS, long), encoding=encoding)
    (folder / "b.TextGrid").write_text(textgrid({"x - words": [("ja[1]", 0.0, 0.5)]}, long), encoding=encoding)
    assert read_textgrid(folder / "spk/a.TextGrid") == TIERS
    found = read_labels(folder)
    assert set(found) == {"spk/a", "b"}
    assert json.loads(str(found["spk/a"].labels["words"])) == LABEL
    assert found["spk/a"].labels["text"] == 'good "day" 3'
    assert json.loads(str(found["b"].labels["words"])) == [["ja[1]", 0.0, 0.5]]
    assert json.loads(str(read_labels(folder / "b.TextGrid")["b"].labels["words"])) == [["ja[1]", 0.0, 0.5]]


def test_ctm_and_tables_of_mfa(tmp_path: Path) -> None:
    lines = [";; a comment", *(f"u1 1 {a} {b - a:.4f} {w} 0.9" for w, a, b in reversed(WORDS)), "u2 1 0 0.5 <eps>"]
    (tmp_path / "x.ctm").write_text("\n".join([*lines, "u2 1 0.5 0.25 yes"]) + "\n")
    found = read_labels(tmp_path / "x.ctm")
    assert json.loads(str(found["u1"].labels["words"])) == LABEL
    assert json.loads(str(found["u2"].labels["words"])) == [["yes", 0.5, 0.75]]
    folder = tmp_path / "mfa"
    folder.mkdir()
    cells = [(start, end, '"' + word.replace('"', '""') + '"') for word, start, end in WORDS]
    rows = ["Begin,End,Label,Type,Speaker", *(f"{a},{b},{w},words,s" for a, b, w in cells), "0.1,0.2,g,phones,s"]
    (folder / "u1.csv").write_text("\n".join(rows) + "\n")
    entries = [[a, b, w] for w, a, b in TIERS["words"]]
    tiers = {"words": {"type": "interval", "entries": entries}}
    (folder / "u2.json").write_text(json.dumps({"start": 0, "end": 1, "tiers": tiers}))
    (folder / "other.json").write_text('{"a": 1}')
    (folder / "other.csv").write_text("id,path\n")
    found = read_labels(folder)
    assert set(found) == {"u1", "u2"}
    for item in found.values():
        assert json.loads(str(item.labels["words"])) == LABEL


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.ctm", "u1 1 0.5 yes\n", "is no CTM"),
        ("a.ctm", "u1 A 0 1 a\nu1 B 0 1 b\n", "second channel"),
        ("a.ctm", "u1 1 0 -1 a\n", "before it begins"),
        ("a.ctm", "u1 1 nan 1 a\n", "before it begins"),
        ("a.TextGrid", "hello", "TextGrid"),
        ("a.TextGrid", textgrid(TIERS, True)[:300], "damaged"),
        ("a.TextGrid", textgrid({"phones": [], "tones": []}, True), "phones, tones"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, name: str, text: str, reason: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(FormatError, match=reason):
        list(labelled_items(tmp_path / name))
