"""How the clips of ``mini`` are chosen: prompts as they are said, the same choice each time."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks.datasets.mini import FOLDER, open_mini
from benchmarks.mini.choose import choose
from benchmarks.mini.text import spoken
from benchmarks.split_tables import read_splits
from tests.benchmarks.trees import voice, write

SPLITS = FOLDER.parents[1] / "codectok/pretrained/speech/splits.tsv"


@pytest.mark.parametrize(
    ("listing", "said"),
    [
        ("Press 3 for advanced options.", "press three for advanced options"),
        ("Call-Forward, Unconditional", "call forward unconditional"),
        ("I\u2019m sorry", "i'm sorry"),
        ("extension 42", ""),
        ("the DAHDI channel", ""),
        ("[beep] hello there", ""),
        ("", ""),
    ],
)
def test_prompts_as_they_are_said(listing: str, said: str) -> None:
    assert spoken(listing, 1.5) == said


def test_a_listing_out_of_proportion_is_left_out() -> None:
    assert spoken("one two three", 10.0) == ""
    assert spoken("one two three four five six seven", 0.5) == ""


def test_the_choice_is_the_same_each_time(tmp_path: Path) -> None:
    """Over a small pack of the same names, in another order."""
    pack, names = tmp_path / "pack", [row for row in read_splits(SPLITS) if row["use"] != "dev"][::2]
    tone = write(tmp_path / "tone.opus", voice(1)).read_bytes()
    rows = []
    for i, row in enumerate(names):
        (pack / row["path"]).parent.mkdir(parents=True, exist_ok=True)
        (pack / row["path"]).write_bytes(tone + row["path"].encode())
        more = {"transcript": f"say {'abcdefghij'[i % 10] * (1 + i // 10 % 9)}", "source_package": "p"}
        rows.append({**row, "seconds": "1.5", **more})
    made = []
    for turn, order in enumerate((rows, rows[::-1])):
        with open(pack / "manifest.tsv", "w", newline="") as f:
            table = csv.DictWriter(f, rows[0], delimiter="\t", quoting=csv.QUOTE_NONE)
            table.writeheader()
            table.writerows(order)
        out = tmp_path / str(turn)
        out.mkdir()
        (out / "cc/old").mkdir(parents=True)
        (out / "cc/old/stale.opus").write_bytes(b"")
        choose(pack, out)
        made.append({p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()})
    assert made[0] == made[1]
    assert len(made[0]) > 100
    assert "cc/old/stale.opus" not in made[0]
    assert open_mini("mini-si", tmp_path / "0").tests["test"]
