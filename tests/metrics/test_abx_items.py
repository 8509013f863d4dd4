"""Item files and tables of labels: as written, exact on the frame grid, refused where they are wrong."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codectok.errors import FormatError
from codectok.metrics.items import AbxItem, items_from_segments, read_items, write_items
from codectok.metrics.segments import ClipNames, Segment, frame_labels, read_segments, write_segments

LINE = "6295-244435-0009 0.2925 0.4725 IH L NG 6295"
HEADER = "#file onset offset #phone prev-phone next-phone speaker"


def test_the_published_example_reads_and_writes_back(tmp_path: Path) -> None:
    path = tmp_path / "dev.item"
    path.write_text(f"{HEADER}\n{LINE}\n")
    (item,) = read_items(path)
    assert item == AbxItem("6295-244435-0009", Fraction("0.2925"), Fraction("0.4725"), "IH", "L", "NG", "6295")
    assert item.frames(Fraction(50)) == (15, 24)  # middles from 0.31 to 0.47
    assert item.frames(Fraction(50), Fraction(-1, 100)) == (15, 24)  # from 0.30 to 0.46
    assert item.frames(Fraction(50), Fraction(1, 10)) == (10, 19)
    write_items(path, [item])
    assert path.read_text() == f"{HEADER}\n{LINE}\n"


@given(st.integers(0, 4000), st.integers(1, 4000), st.sampled_from([Fraction(50), Fraction(25), Fraction(75, 2)]))
def test_frames_are_those_whose_middle_is_inside(onset: int, length: int, rate: Fraction) -> None:
    item = AbxItem("f", Fraction(onset, 1000), Fraction(onset + length, 1000), "A", "B", "C", "s")
    start, stop = item.frames(rate)
    inside = [t for t in range(500) if item.onset <= (t + Fraction(1, 2)) / rate <= item.offset]
    assert list(range(start, min(stop, 500))) == inside


def test_an_end_on_the_middle_of_a_frame_is_inside() -> None:
    """0.07 s at 50 Hz is the middle of frame 3; 0.07 * 50 is above 3.5 in binary."""
    assert AbxItem("f", Fraction("0.03"), Fraction("0.07"), "A", "B", "C", "s").frames(Fraction(50)) == (1, 4)


@pytest.mark.parametrize("lines", [[], ["a b c"], [HEADER], *([HEADER, line] for line in (
    "f 0 1 A B C", "f 2 1 A B C s", "f x 1 A B C s"))])  # fmt: skip
def test_bad_item_files_are_refused(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "x.item"
    path.write_text("".join(line + "\n" for line in lines))
    with pytest.raises(FormatError):
        read_items(path)


def test_items_are_phones_between_phones() -> None:
    spoken = [Segment(0, 0.1, "SIL"), *(Segment(0.1 * i, 0.1 * (i + 1), p) for i, p in enumerate("ABCD", 1))]
    clips = {"f": [*spoken, Segment(0.5, 0.6, "SIL"), Segment(0.7, 0.8, "E")]}
    triphones = items_from_segments(clips, {"f": "s"})
    assert [(i.before, i.phone, i.after) for i in triphones] == [("A", "B", "C"), ("B", "C", "D")]
    assert [(float(i.onset), float(i.offset)) for i in triphones] == [(0.1, 0.4), (0.2, 0.5)]
    phones = items_from_segments(clips, {}, triphone=False)
    assert [(float(i.onset), float(i.offset), i.speaker) for i in phones] == [(0.2, 0.3, "f"), (0.3, 0.4, "f")]
    with pytest.raises(FormatError, match="white space"):
        items_from_segments({"a b": spoken}, {})


def test_labels_round_trip_and_lie_on_frames(tmp_path: Path) -> None:
    clips = {"x/a.wav": [Segment(0.0, 0.05, "SIL"), Segment(0.05, 0.11, "AH")], "b": [Segment(0.02, 0.04, "T")]}
    write_segments(tmp_path / "p.tsv", clips)
    assert read_segments(tmp_path / "p.tsv") == clips
    index = {"SIL": 0, "AH": 1, "T": 2}
    # Middles: 10, 30, 50, 70, 90, 110, 130 ms; an onset is inside, an offset is not.
    assert frame_labels(clips["x/a.wav"], 7, Fraction(50), index).tolist() == [0, 0, 1, 1, 1, -1, -1]
    assert frame_labels(clips["b"], 4, Fraction(50), index).tolist() == [-1, 2, -1, -1]
    assert frame_labels([], 3, Fraction(50), index).tolist() == [-1, -1, -1]


@pytest.mark.parametrize(("rows", "message"), [
    ("path\tonset\tphone\n", "give a table with the columns"), ("path\tonset\toffset\tphone\n", "no labels"),
    ("path\tonset\toffset\tphone\na\t1\tx\tA\n", "line 2"), ("path\tonset\toffset\tphone\na\t1\t1\tA\n", "line 2"),
    ("path\tonset\toffset\tlabel\na\t0\t1\tA\na\t.5\t2\tB\n", "overlap"),
])  # fmt: skip
def test_bad_tables_are_refused(tmp_path: Path, rows: str, message: str) -> None:
    (tmp_path / "p.tsv").write_text(rows)
    with pytest.raises(FormatError, match=message):
        read_segments(tmp_path / "p.tsv")


def test_clips_are_found_by_path_id_or_unique_name() -> None:
    names = ClipNames(["x/a.wav", "y/a.wav", "y/b.flac"])
    assert names.find("x/a.wav") == names.find("x/a") == "x/a.wav"
    assert names.find("b") == names.find("b.flac") == names.find("nothing", "y/b") == "y/b.flac"
    assert names.find("a") is None
    assert names.find("c") is None


def test_frames_without_numpy_ints() -> None:
    start, stop = AbxItem("f", Fraction(0), Fraction(1), "A", "B", "C", "s").frames(Fraction(50))
    assert np.arange(60)[start:stop].size == 50
