"""Every column of every kind of manifest arrives as a label, under one name whatever the manifest called it."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codectok.errors import FormatError
from codectok.items.columns import ALIASES, labels_of
from codectok.items.corpus import read_corpus
from codectok.items.item import Item
from codectok.items.label_files import labelled_items, read_labels
from codectok.items.labels import MAX_LABELS, LabelTypes, as_label
from codectok.items.tables import separator_of

ODD = "two\u2028three\u0085four\x1cfive"
"""What some readers of lines take for their ends."""


def items(path: Path) -> list[Item]:
    return list(read_corpus(path))


def labels(path: Path) -> list[dict[str, Any]]:
    return [dict(item.labels) for item in items(path)]


@pytest.mark.parametrize(("own", "alias"), [(own, alias) for own, names in ALIASES.items() for alias in names])
def test_aliases(own: str, alias: str) -> None:
    assert labels_of({"path": "a.wav", alias.upper(): "x", "odd": 1}, ("path",)) == {own: "x", "odd": 1}


def test_the_first_alias_counts_and_the_others_keep_their_names() -> None:
    entry = {"sentence": "B", "text": None, "raw_text": "C", "speaker": 7, "client_id": "c"}
    assert labels_of(entry) == {"text": "B", "raw_text": "C", "speaker": 7, "client_id": "c"}
    assert (
        labels_of({"text": "", "sentence": "B"})
        == {
            "text": "B",
        }
        | {}
    )
    assert labels_of({"text": ""}) == {"text": ""}


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (["a", 1, {"b": None}], '["a", 1, {"b": null}]'),
        (True, True),
        (float("nan"), None),
        (float("inf"), "inf"),
        (b"x", None),
        ("\ud83d\ude00", "\U0001f600"),
        ("\ud800", "\ufffd"),
        (2**70, 2**70),
    ],
)
def test_values(value: Any, label: Any) -> None:
    assert as_label(value) == label
    assert type(as_label(value)) is type(label)


@pytest.mark.parametrize("packed", [False, True])
def test_jsonl(tmp_path: Path, packed: bool) -> None:
    # As other tools write it: JSON would have control characters escaped.
    lines = f'{{"path": "a.wav", "transcript": "one {ODD}", "spk": 3, "ok": true, "words": [["one", 0, 0.5]]}}\r\n'
    lines += '{"path": "b.wav", "Lang": "de", "snr": 1.5, "note": null}\n'
    data = b"\xef\xbb\xbf" + lines.encode()
    path = tmp_path / ("m.jsonl.gz" if packed else "m.jsonl")
    path.write_bytes(gzip.compress(data) if packed else data)
    assert labels(path) == [
        {"text": f"one {ODD}", "speaker": 3, "ok": True, "words": '[["one", 0, 0.5]]'},
        {"language": "de", "snr": 1.5},
    ]


def test_csv_of_any_separator(tmp_path: Path) -> None:
    long = "word " * 60_000  # 300,000 characters; the csv module takes 131,072
    for separator in ",;\t|":
        header = separator.join(["\ufeffid", "path", "sentence", "Mood"])
        row = separator.join(["u1", "a.wav", f'"said, ""so""; {long}"', "calm"])
        (tmp_path / "t.csv").write_text(f"{header}\r\n{row}\r\nu2{separator}b.wav\r\n", encoding="utf-8", newline="")
        found = items(tmp_path / "t.csv")
        assert [i.id for i in found] == ["u1", "u2"]
        assert [dict(i.labels) for i in found] == [{"text": f'said, "so"; {long}', "Mood": "calm"}, {}]


def test_tsv_has_no_quotes(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(f'path\tsentence\tage\r\na.wav\t"so {ODD}\t\r\n', encoding="utf-8", newline="")
    assert labels(tmp_path / "t.tsv") == [{"text": f'"so {ODD}'}]


@pytest.mark.parametrize(
    ("header", "separator"),
    [("id;path;text, as spoken", ";"), ("audio_filepath", ","), ("a,b;c,path", ","), ("wav\ttext", "\t")],
)
def test_separators(header: str, separator: str) -> None:
    assert separator_of(header) == separator


def test_tables_that_are_none(tmp_path: Path) -> None:
    for text, message in [
        ("path,text,text\na.wav,x,y\n", "the column 'text' twice"),
        ("path,text\na.wav,x,y\n", "line 2 .* more columns"),
        ("name,text\nx,y\n", "no audio file"),
    ]:
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(FormatError, match=message):
            items(tmp_path / "t.csv")


@pytest.mark.parametrize("segments", [False, True])
def test_kaldi_data_folder(tmp_path: Path, segments: bool) -> None:
    (tmp_path / "wav.scp").write_text("r1 a.wav\nr2 b.wav\n")
    keys = ["r1", "r2"]
    if segments:
        (tmp_path / "segments").write_text("u1 r1 0 1\nu2 r2 0.5 -1\n")
        keys = ["u1", "u2"]
    # In another order, one line an id alone, one id missing.
    (tmp_path / "text").write_bytes(f"{keys[1]}\n{keys[0]} ONE  {ODD} X\r\n".encode())
    (tmp_path / "utt2spk").write_text(f"{keys[0]} s1\n{keys[1]} s2\n")
    (tmp_path / "utt2lang").write_text(f"{keys[0]} en\n")
    (tmp_path / "utt2accent").write_text(f"{keys[0]} scots\n")
    (tmp_path / "utt2dur").write_text(f"{keys[0]} 1.0\n")
    (tmp_path / "spk2gender").write_text("s1 f\n")
    expected = {"text": f"ONE  {ODD} X", "speaker": "s1", "language": "en", "accent": "scots", "gender": "f"}
    assert labels(tmp_path) == [expected, {"text": "", "speaker": "s2"}]
    (tmp_path / "text").write_text(f"{keys[0]} a\n{keys[0]} b\n")
    with pytest.raises(FormatError, match="comes twice in"):
        items(tmp_path)


def test_fairseq_side_files(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_bytes(f"{tmp_path}\r\na.wav\t100\r\nb.wav\t200\r\n".encode())
    (tmp_path / "train.ltr").write_bytes(b"H I | Y O U |\r\nN O |\r\n")
    assert labels(tmp_path / "train.tsv") == [
        {"text": "HI YOU", "ltr": "H I | Y O U |"},
        {"text": "NO", "ltr": "N O |"},
    ]
    (tmp_path / "train.wrd").write_text("HI YOU\n\n")
    assert [i["text"] for i in labels(tmp_path / "train.tsv")] == ["HI YOU", ""]
    for text in ("HI\n", "A\nB\nC\n"):
        (tmp_path / "train.wrd").write_text(text)
        with pytest.raises(FormatError, match=r"train\.wrd has another number of lines"):
            items(tmp_path / "train.tsv")


def cut(*supervisions: dict[str, Any], **custom: Any) -> dict[str, Any]:
    source = {"type": "file", "channels": [0], "source": "a.wav"}
    recording = {"id": "r", "sources": [source], "sampling_rate": 16000, "num_samples": 32000, "duration": 2.0}
    spoken = [{"id": f"s{i}", "recording_id": "r", "channel": 0, **one} for i, one in enumerate(supervisions)]
    return {"id": "c", "start": 0, "duration": 2.0, "channel": 0, "type": "MonoCut", "recording": recording,
            "supervisions": spoken, "custom": custom}  # fmt: skip


def test_lhotse_supervisions(tmp_path: Path) -> None:
    one = cut({"start": 0, "duration": 2, "text": "hi", "speaker": "s", "language": "en", "gender": "f",
               "custom": {"snr": 7}}, note="x", feats={"array": {}, "start": 0})  # fmt: skip
    two = cut({"start": 1, "duration": 1, "text": "you", "speaker": "t"},
              {"start": 0, "duration": 1, "text": "hi", "speaker": "s", "language": "en"})  # fmt: skip
    with gzip.open(tmp_path / "cuts.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({**entry, "id": f"c{i}"}) + "\n" for i, entry in enumerate((one, two)))
    first, second = labels(tmp_path / "cuts.jsonl.gz")
    assert first == {"text": "hi", "speaker": "s", "language": "en", "gender": "f", "snr": 7, "note": "x"}
    assert (second["text"], second["language"], "speaker" in second) == ("hi you", "en", False)
    assert [s["speaker"] for s in json.loads(second["supervisions"])] == ["s", "t"]


def tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("grouped", [True, False])
def test_webdataset(tmp_path: Path, grouped: bool) -> None:
    meta = json.dumps({"id": "d/a", "spk": 7, "start": 1.5, "path": "orig.flac"}).encode()
    members = {"d/a.wav": b"x", "d/a.json": meta, "d/a.txt": b"one two\n", "d/b.cls": b"3", "d/b.flac": b"y"}
    if not grouped:  # as `tar c` has files that lie in any order
        members = {name: members[name] for name in sorted(members, key=lambda n: n[::-1])}
    tar(tmp_path / "x.tar", members)
    found = {item.id: dict(item.labels) for item in items(tmp_path / "x.tar")}
    expected = {"text": "one two", "speaker": 7, "start": 1.5, "path": "orig.flac"}
    assert found == {"d/a": expected, "d/b": {"cls": "3"}}
    assert len(items(tmp_path / "x.tar")) == 2
    tar(tmp_path / "y.tar", {"a.wav": b"x", "a.json": b"{"})
    with pytest.raises(FormatError, match=r"a\.json is not JSON"):
        items(tmp_path / "y.tar")


def embedded(names: list[str | None], **columns: list[Any]) -> Any:
    pa = pytest.importorskip("pyarrow")
    audio = [{"bytes": b"x", "path": name} for name in names]
    return pa.table({"audio": pa.array(audio, pa.struct([("bytes", pa.binary()), ("path", pa.string())])), **columns})


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_embedded_audio(tmp_path: Path, kind: str) -> None:
    def written(table: Any, name: str = "t") -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = tmp_path / f"{name}.{kind}"
        if kind == "parquet":
            pq.write_table(table, path, row_group_size=2)
        else:
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
        return path

    more = {"sentence": ["a", None, "c"], "words": [["x", "y"], [], None], "begin_time": [1.0, 2.0, 3.0],
            "picture": [b"1", b"2", b"3"], "meta": [{"n": 1}, {"n": 2}, {"n": 3}]}  # fmt: skip
    found = items(written(embedded(["p/a.wav", "p/b.wav", None], **more)))
    assert [i.id for i in found] == ["p/a", "p/b", "t/2"]
    assert dict(found[0].labels) == {"text": "a", "words": '["x", "y"]', "begin_time": 1.0, "meta": '{"n": 1}'}
    assert [dict(i.labels).get("text") for i in found] == ["a", None, "c"]
    # Names that repeat are no ids: not those of one, nor those of any row.
    assert [i.id for i in items(written(embedded(["audio.wav", "audio.wav", "b.wav"])))] == ["t/0", "t/1", "t/2"]
    assert [i.id for i in items(written(embedded(["audio.wav"] * 2, id=["x", 7 * "y"])))] == ["x", "yyyyyyy"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("t.csv", "id;sentence\nu1;a\n", {"u1": {"text": "a"}}),
        ("m.jsonl", '{"audio_filepath": "/data/a.b.wav", "text": "x"}\n', {"data/a.b": {"text": "x"}}),
        ("n.jsonl", '{"path": "sub/a.wav", "offset": 3, "text": "x"}\n', {"sub/a": {"text": "x"}}),
        ("a.txt", "u1 a b\nu2\n", {"u1": {"text": "a b"}, "u2": {}}),
        ("utt2spk", "u1 s\n", {"u1": {"speaker": "s"}}),
    ],
)
def test_labels_by_id(tmp_path: Path, name: str, text: str, expected: dict[str, dict[str, str]]) -> None:
    (tmp_path / name).write_text(text)
    assert {key: dict(item.labels) for key, item in read_labels(tmp_path / name).items()} == expected


def test_ids_are_those_of_a_corpus(tmp_path: Path) -> None:
    lines = ["/data/x/a.wav", "b.wav", "../up/c.wav", "./d//e.flac"]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps({"audio_filepath": p}) + "\n" for p in lines))
    assert [i.id for _, i in labelled_items(tmp_path / "m.jsonl")] == [i.id for i in items(tmp_path / "m.jsonl")]


def test_types_of_columns() -> None:
    types = LabelTypes()
    for one in ({"b": 1, "text": "x"}, {"b": 1.5, "c": True, "d": 1}, {"c": False, "d": "1", "e": 2**60, "f": 2**70}):
        types.add(one)
    types.add({"g": 2**60})
    types.add({"g": 0.5, "h": None})
    assert types.types() == {
        "text": "string", "b": "float", "c": "bool", "d": "json", "e": "int", "f": "json", "g": "json",
    }  # fmt: skip
    assert next(iter(types.types())) == "text"
    with pytest.raises(FormatError, match="label columns"):
        types.add({f"k{i}": 1 for i in range(MAX_LABELS)})


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.one_of(TEXTS, st.integers(-(2**80), 2**80), st.booleans(), st.floats(allow_nan=False, allow_infinity=False))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["text", "speaker", "language", "odd", "Ö d d"]), VALUES))
def test_jsonl_gives_back_any_labels(tmp_path_factory: pytest.TempPathFactory, entry: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("labels") / "m.jsonl"
    path.write_text(json.dumps({"path": "a.wav", **entry}, ensure_ascii=False) + "\n", encoding="utf-8", newline="")
    assert labels(path) == [entry]
