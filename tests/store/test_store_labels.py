"""Labels in stores: every format gives back what it has a place for, and joins what a manifest says."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codectok.cli.main import main
from codectok.errors import FormatError
from codectok.items.labels import Labels, LabelTypes
from codectok.store import open_store
from codectok.store.convert import convert_store, left_out
from codectok.store.formats.table import get_format
from codectok.store.info import Row, StoreInfo
from codectok.store.label_columns import LabelColumns, kept
from codectok.store.names import FORMATS
from codectok.store.verify import verify_store
from tests.store.making import make_info, make_rows, make_store, write_rows

pytestmark = pytest.mark.usefixtures("no_sync")

WHOLE = ("parquet", "jsonl", "webdataset", "lhotse")
"""Formats with a place for any label."""
SIDE = {"kaldi": {"text", "speaker", "language"}, "espnet": {"text", "speaker"}, "fairseq": {"text"}}
LABELS: list[dict[str, Any]] = [
    {"text": "Ä b,\t\"c\"\u2028d\n", "speaker": 84, "language": "en", "odd": '["x", 1]', "id": "mine"},
    {"text": "100%25 |", "speaker": 7, "codes": 1.5, "mixed": 2, "Ö d": True},
    {"mixed": "two", "codes": 2, "gender": "f"},
    {},
]  # fmt: skip


def with_labels(info: StoreInfo, rows: list[Row], labels: list[dict[str, Any]]) -> tuple[StoreInfo, list[Row]]:
    types = LabelTypes()
    for one in labels:
        types.add(one)
    columns = kept(get_format(info.format).labels, types.types(), "0" * 64)
    return replace(info, labels=columns), [Row(*row, own) for row, own in zip(rows, labels, strict=True)]


def expected(format: str, labels: Labels) -> Labels:
    if format in WHOLE:
        return labels
    names = SIDE.get(format, set())
    # fairseq's lines have no ids: a text that is empty and none are the same, but where labels are kept as JSON.
    return {n: v for n, v in labels.items() if n in names and not (format == "fairseq" and v == "")}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("dedup", [False, True])
def test_labels_come_back(tmp_path: Path, format: str, dedup: bool) -> None:
    info = make_info(format, (8,), dedup)
    info, rows = with_labels(info, make_rows(info, [4, 0, 9, 2], ["a/b", "c d", "e.f", "g%20"]), LABELS)
    path = write_rows(tmp_path, info, rows)
    found = list(get_format(format).read_shard(path, info))
    assert found == [tuple(row) for row in rows]
    for row, labels in zip(found, LABELS, strict=True):
        assert row.labels == expected(format, labels)
        assert {n: type(v) for n, v in row.labels.items() if n != "codes"} == {
            n: type(v) for n, v in expected(format, labels).items() if n != "codes"
        }
    written = {p.name.removeprefix("00000") for p in path.parent.iterdir()}
    form = get_format(format)
    assert written <= {*form.suffixes, *form.label_suffixes}
    assert set(form.label_suffixes) <= written


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False))
VALUES = st.one_of(TEXTS, st.booleans(), NUMBERS)
NAMES = st.one_of(st.sampled_from(["text", "speaker", "language", "gender", "id", "codes", "label_id"]), TEXTS)


@pytest.mark.parametrize("format", [*WHOLE, *SIDE])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(NAMES.filter(bool), VALUES, max_size=4), min_size=1, max_size=4))
def test_any_labels_come_back(format: str, labels: list[dict[str, Any]]) -> None:
    info = make_info(format, (5,))
    info, rows = with_labels(info, make_rows(info, [2] * len(labels)), labels)
    with tempfile.TemporaryDirectory() as folder:
        path = write_rows(Path(folder), info, rows)
        found = [expected(format, row.labels) for row in get_format(format).read_shard(path, info)]
    assert found == [expected(format, own) for own in labels]


@pytest.mark.parametrize("format", FORMATS)
def test_a_store_without_labels_is_written_as_before(tmp_path: Path, format: str) -> None:
    info = make_info(format, (8,))
    rows = make_rows(info, [4, 2])
    plain = write_rows(tmp_path / "plain", info, rows).parent
    labelled = write_rows(tmp_path / "labelled", info, [Row(*row, {"text": "x"}) for row in rows]).parent
    assert {p.name: p.read_bytes() for p in plain.iterdir()} == {p.name: p.read_bytes() for p in labelled.iterdir()}
    assert "labels" not in info.to_json()


def labelled_store(folder: Path, format: str = "parquet") -> Any:
    info = make_info(format, (8, 5) if format in WHOLE else (8,))
    info, rows = with_labels(info, make_rows(info, [4, 0, 9, 2], ["a", "b", "c", "d"]), LABELS)
    return make_store(folder, info, [rows[:3], rows[3:]])


@pytest.mark.parametrize("format", FORMATS)
def test_stores_have_labels_and_verify(tmp_path: Path, format: str) -> None:
    store = labelled_store(tmp_path / "s", format)
    assert [row.labels for row in store] == [expected(format, labels) for labels in LABELS]
    assert list(store.iter_labels()) == [(row.id, row.labels) for row in store]
    assert list(verify_store(store)) == []


def test_parquet_opens_with_datasets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    labelled_store(tmp_path / "s")
    files = str(tmp_path / "s/shards/*.parquet")
    table = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert table["text"] == [one.get("text") for one in LABELS]
    assert table["speaker"] == [84, 7, None, None]
    assert table["label_codes"] == [None, 1.5, 2.0, None]
    assert table["label_id"] == ["mine", None, None, None]
    assert table["Ö d"] == [None, True, None, None]
    types = {name: str(kind.dtype) for name, kind in table.features.items() if hasattr(kind, "dtype")}
    assert (types["text"], types["speaker"], types["label_codes"], types["Ö d"]) == (
        "string",
        "int64",
        "float64",
        "bool",
    )


def test_lhotse_has_supervisions(tmp_path: Path) -> None:
    lhotse = pytest.importorskip("lhotse")
    labelled_store(tmp_path / "s", "lhotse")
    fields = {n: [str(p) for p in sorted((tmp_path / "s/shards").glob(f"*.{n}.*"))] for n in ("cuts", "units")}
    cuts = list(lhotse.CutSet.from_shar(fields=fields))
    (one,) = cuts[0].supervisions
    assert (one.text, one.speaker, one.language, one.custom["odd"]) == (LABELS[0]["text"], "84", "en", '["x", 1]')
    assert math.isclose(one.duration, cuts[0].duration)
    assert cuts[3].supervisions == []


def test_side_files_are_what_recipes_read(tmp_path: Path) -> None:
    info = make_info("fairseq", (8,))
    labels = [{"text": "HI YOU"}, {}, {"text": "50% OFF"}]
    info, rows = with_labels(info, make_rows(info, [4, 3, 9], ["a", "b b", "c"]), labels)
    shards = write_rows(tmp_path, info, rows).parent
    assert (shards / "00000.wrd").read_text() == "HI YOU\n\n50% OFF\n"
    assert (shards / "00000.ltr").read_text() == "H I | Y O U |\n\n5 0 % | O F F |\n"
    for format, text in (("kaldi", "text"), ("espnet", "text.ts")):
        other = make_info(format, (8,))
        other, rows = with_labels(other, make_rows(other, [4, 3, 9], ["a", "b b", "c"]), [
            {"text": "HI YOU", "speaker": "s 1"}, {"speaker": "t"}, {"text": ""}])  # fmt: skip
        shards = write_rows(tmp_path / format, other, rows).parent
        assert (shards / f"00000.{text}").read_text() == "a HI YOU\nc \n"
        assert (shards / "00000.utt2spk").read_text() == "a s%201\nb%20b t\n"


@pytest.mark.parametrize("format", FORMATS)
def test_conversion_keeps_labels_and_names_what_it_leaves_out(tmp_path: Path, format: str) -> None:
    store = labelled_store(tmp_path / "s")
    said: list[str] = []
    made = convert_store(store, tmp_path / "t", format=format, num_codebooks=1, say=said.append)
    assert [row.labels for row in made] == [expected(format, labels) for labels in LABELS]
    names = {name for labels in LABELS for name in labels}
    lost = names - set(SIDE.get(format, set()) if format not in WHOLE else names)
    assert said == left_out(store.info, made.info)
    said = [line for line in said if "labels" in line]
    assert bool(said) == bool(lost)
    assert all(name in said[0] for name in lost)
    back = convert_store(made, tmp_path / "u", format="parquet")
    assert [row.labels for row in back] == [expected(format, labels) for labels in LABELS]


def test_labels_are_joined_by_id(tmp_path: Path) -> None:
    info = make_info("jsonl", (8, 5))
    store = make_store(tmp_path / "s", info, [make_rows(info, [4, 0], ["a", "b"]), make_rows(info, [3], ["c/d"])])
    (tmp_path / "m.jsonl").write_text(
        '{"path": "b.flac", "sentence": "bee", "snr": 3}\n{"path": "c/d.flac", "sentence": "sea"}\n{"path": "x.flac"}\n'
    )
    result = CliRunner().invoke(main, ["convert", str(tmp_path / "s"), "-o", str(tmp_path / "t"),
                                       "--labels", str(tmp_path / "m.jsonl")])  # fmt: skip
    assert result.exit_code == 0, result.output
    made = open_store(tmp_path / "t")
    assert made.info.format == "jsonl"
    assert [(row.id, row.labels) for row in made] == [
        ("a", {}),
        ("b", {"text": "bee", "snr": 3}),
        ("c/d", {"text": "sea"}),
    ]
    assert [tokens for _, tokens in made] == [tokens for _, tokens in store]
    assert made.info.manifest == store.info.manifest
    assert list(verify_store(made)) == []
    # A second manifest adds to the labels, and counts where both have one.
    (tmp_path / "more.csv").write_text("id;spk;snr\nb;s1;9\n")
    again = convert_store(made, tmp_path / "u", labels=tmp_path / "more.csv")
    assert again["b"] == made["b"]
    assert dict(again.iter_labels())["b"] == {"text": "bee", "snr": "9", "speaker": "s1"}
    # What is there is not taken for what is asked for.
    with pytest.raises(FormatError, match="has other labels"):
        convert_store(made, tmp_path / "u")
    convert_store(store, tmp_path / "plain")
    with pytest.raises(FormatError, match="was made without these labels"):
        convert_store(store, tmp_path / "plain", labels=tmp_path / "more.csv")
    (tmp_path / "other.csv").write_text("id,text\nz,zed\n")
    with pytest.raises(FormatError, match=r"none of the utterances .* like 'a', .* like 'z'"):
        convert_store(store, tmp_path / "v", labels=tmp_path / "other.csv")


def test_joined_labels_without_a_place_are_named(tmp_path: Path) -> None:
    make_store(tmp_path / "s", make_info("gslm", (8,)), [make_rows(make_info("gslm", (8,)), [4], ["a"])])
    (tmp_path / "m.csv").write_text("id,text,speaker\na,one,s\n")
    for form, lost in (("gslm", "text, speaker"), ("fairseq", "speaker")):
        result = CliRunner().invoke(main, ["convert", str(tmp_path / "s"), "-o", str(tmp_path / form), "--format", form,
                                           "--labels", str(tmp_path / "m.csv")])  # fmt: skip
        assert result.exit_code == 0, result.output
        assert f"left out: labels that {form} has no place for: {lost}\n" in result.output


def test_labels_that_are_not_those_of_the_description(tmp_path: Path) -> None:
    store = labelled_store(tmp_path / "s", "jsonl")
    path = store.folder / "shards/00000.jsonl"
    del store.shards[0]["bytes"]  # the lines are told of, not the length
    first, *rest = path.read_text(encoding="utf-8").split("\n")
    for labels in (3, ["text"], {"text": 5}, {"speaker": "x"}, {"text": {"a": 1}}):
        path.write_text("\n".join([json.dumps({**json.loads(first), "labels": labels}), *rest]), encoding="utf-8")
        with pytest.raises(FormatError, match=r"line 1 .* is damaged"):
            list(store.read_shard(0))


def test_a_value_of_another_type_is_refused(tmp_path: Path) -> None:
    info = replace(make_info("parquet", (8,)), labels=LabelColumns({"n": "int"}, "0" * 64))
    with pytest.raises(FormatError, match="the label n is 'x' and not of type int"):
        write_rows(tmp_path, info, [Row(*row, {"n": "x"}) for row in make_rows(info, [3])])


def test_damaged_descriptions_are_one_line(tmp_path: Path) -> None:
    store = labelled_store(tmp_path / "s")
    path = store.folder / "store.json"
    entry = json.loads(path.read_text())
    for labels in ({"columns": {"text": "words"}, "sha256": ""}, {"columns": ["text"]}, 3, "x", {"sha256": "y"}):
        path.write_text(json.dumps({**entry, "labels": labels}))
        with pytest.raises(FormatError, match=r"store\.json is damaged"):
            open_store(store.folder)


def test_shards_have_one_schema(tmp_path: Path) -> None:
    store = labelled_store(tmp_path / "s")
    schemas = [pq.read_schema(path) for path in sorted((store.folder / "shards").glob("*.parquet"))]
    assert schemas[0].equals(schemas[1], check_metadata=True)
