"""What a manifest says of its utterances is in the store that is made of it, from any kind, by any engine."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from codectok.cli.main import main
from codectok.corpus.pipeline import TokenizeSummary, tokenize_corpus
from codectok.corpus.recheck import check_manifest
from codectok.errors import FormatError
from codectok.items.corpus import read_corpus
from codectok.store import open_store
from codectok.store.merge import merge_stores
from codectok.store.names import FORMATS
from tests.corpus.tokenizers import Loudness

LABELS: dict[str, dict[str, Any]] = {
    "a": {"text": "one, two", "speaker": "s1", "language": "en", "odd one": "x;y"},
    "b": {"text": "drei \u2028 vier", "speaker": "s2", "language": "de", "odd one": "z"},
    "d/c": {"text": "cinq", "speaker": "s1", "language": "fr", "odd one": "ÿ"},
}
KEPT = {
    **dict.fromkeys(("parquet", "jsonl", "webdataset", "lhotse"), ("text", "speaker", "language", "odd one")),
    "kaldi": ("text", "speaker", "language"),
    "espnet": ("text", "speaker"),
    "fairseq": ("text",),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in/d").mkdir(parents=True)
    for i, key in enumerate(LABELS):
        noise = np.random.default_rng(i).normal(size=900 + 400 * i) * 0.1
        soundfile.write(tmp_path / f"in/{key}.wav", noise, 8000)
    return tmp_path / "in"


def write_manifest(folder: Path, kind: str, labels: dict[str, dict[str, Any]] = LABELS) -> Path:
    """The three files with their labels, under names that differ from kind to kind; one file that is missing."""
    rows = [(key, f"{key}.wav", one) for key, one in labels.items()]
    rows.insert(1, ("gone", "gone.wav", {"text": "not heard", "speaker": "s9", "language": "xx", "odd one": "o"}))
    names = {"text": "Transcript", "speaker": "client_id", "language": "lang", "odd one": "odd one"}
    path = folder / f"m.{kind}"
    if kind == "jsonl.gz":
        lines = [{"audio_filepath": file, **{names[n]: v for n, v in one.items()}} for _, file, one in rows]
        path.write_bytes(gzip.compress("".join(json.dumps(x, ensure_ascii=False) + "\n" for x in lines).encode()))
    elif kind in ("csv", "tsv"):
        mark, quote = (",", '"') if kind == "csv" else ("\t", "")
        cells = [["file", *names.values()], *([file, *one.values()] for _, file, one in rows)]
        path.write_text("\n".join(mark.join(f"{quote}{c}{quote}" for c in row) for row in cells) + "\n")
    elif kind == "lhotse.jsonl":
        path.write_text("".join(json.dumps(_cut(key, str(folder / file), one)) + "\n" for key, file, one in rows))
    elif kind == "tar":
        with tarfile.open(path, "w") as tar:
            for key, file, one in rows:
                data = (folder / file).read_bytes() if (folder / file).exists() else b"no audio"
                for name, content in ((file, data), (f"{key}.json", json.dumps(one).encode())):
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return path


def _cut(key: str, file: str, labels: dict[str, Any]) -> dict[str, Any]:
    source = {"type": "file", "channels": [0], "source": file}
    recording = {"id": key, "sources": [source], "sampling_rate": 8000, "num_samples": 8000, "duration": 1.0}
    own = {n: labels[n] for n in ("text", "speaker", "language")}
    spoken = {"id": key, "recording_id": key, "start": 0, "duration": 1.0, "channel": 0, **own,
              "custom": {"odd one": labels["odd one"]}}  # fmt: skip
    return {"id": key, "start": 0, "duration": 1.0, "channel": 0, "recording": recording, "supervisions": [spoken],
            "type": "MonoCut"}  # fmt: skip


def run(corpus: Path, out: Path, **options: Any) -> TokenizeSummary:
    return tokenize_corpus(read_corpus(corpus), Loudness(), out, **{"items_per_shard": 2, "workers": 1, **options})


def content(store: Path) -> dict[str, bytes]:
    """All files but the timings."""
    found = {p.relative_to(store).as_posix(): p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()}
    return found | {"stats.json": json.dumps({**json.loads(found["stats.json"]), "run": None}).encode()}


@pytest.mark.parametrize("kind", ["jsonl.gz", "csv", "tsv", "lhotse.jsonl", "tar"])
def test_from_every_kind_of_manifest(folder: Path, tmp_path: Path, kind: str) -> None:
    assert run(write_manifest(folder, kind), tmp_path / "s").failed == 1
    assert {row.id: row.labels for row in open_store(tmp_path / "s")} == LABELS


@pytest.mark.parametrize("format", FORMATS)
def test_through_every_format(folder: Path, tmp_path: Path, format: str) -> None:
    summary = run(write_manifest(folder, "jsonl.gz"), tmp_path / "s", format=format)
    assert set(summary.labels_left_out) == set(KEPT["parquet"]) - set(KEPT.get(format, ()))
    found = {row.id: row.labels for row in open_store(tmp_path / "s")}
    assert found == {key: {n: one[n] for n in KEPT.get(format, ())} for key, one in LABELS.items()}
    command = ["verify", str(tmp_path / "s"), "--corpus", str(folder / "m.jsonl.gz")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output


def test_workers_and_parts_write_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    corpus = write_manifest(folder, "jsonl.gz")
    run(corpus, tmp_path / "one")
    run(corpus, tmp_path / "two", workers=2)
    for i in (1, 2):
        run(corpus, tmp_path / f"p{i}", shard=(i, 2))
    merge_stores([tmp_path / "p1", tmp_path / "p2"], tmp_path / "merged")
    expected = content(tmp_path / "one")
    assert content(tmp_path / "two") == expected
    assert content(tmp_path / "merged") == expected


def unlabelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As 0.1 was: readers gave no labels."""
    from codectok.items import lines

    real = lines.Item
    monkeypatch.setattr(lines, "Item", lambda *fields: real(*fields[:5]))


def stop_after_a_shard(corpus: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("codectok.store.writer.finish_store", stop)
        with pytest.raises(KeyboardInterrupt):
            run(corpus, out)
    (out / ".work/00001.json").unlink()


def test_a_run_of_before_goes_on_as_it_was(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = write_manifest(folder, "csv")
    with monkeypatch.context() as patch:
        unlabelled(patch)
        run(corpus, tmp_path / "old")
        shutil.copytree(tmp_path / "old", tmp_path / "old2")
        stop_after_a_shard(corpus, tmp_path / "begun", monkeypatch)
    found = run(corpus, tmp_path / "begun")
    assert (found.resumed_shards, found.begun_without_labels) == (1, True)
    assert content(tmp_path / "begun") == content(tmp_path / "old")
    again = run(corpus, tmp_path / "old")
    assert (again.already_finished, again.begun_without_labels) == (True, True)
    assert list(check_manifest(open_store(tmp_path / "old"), read_corpus(corpus))) == []
    # And gets its labels.
    joined = CliRunner().invoke(main, ["convert", str(tmp_path / "old"), "-o", str(tmp_path / "new"),
                                       "--labels", str(corpus)])  # fmt: skip
    assert joined.exit_code == 0, joined.output
    run(corpus, tmp_path / "anew")
    assert content(tmp_path / "new")["shards/00000.parquet"] == content(tmp_path / "anew")["shards/00000.parquet"]
    assert open_store(tmp_path / "new").info == open_store(tmp_path / "anew").info


def test_labels_that_changed_are_said(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = write_manifest(folder, "csv")
    run(corpus, tmp_path / "s")
    stop_after_a_shard(corpus, tmp_path / "begun", monkeypatch)
    write_manifest(folder, "csv", LABELS | {"b": {**LABELS["b"], "speaker": "s3"}})
    for out in ("s", "begun"):
        with pytest.raises(FormatError, match="has other labels than the corpus has now"):
            run(corpus, tmp_path / out)
    (line,) = check_manifest(open_store(tmp_path / "s"), read_corpus(corpus))
    assert "are not those of the store" in line
    # A format without a place for them does not care.
    run(corpus, tmp_path / "g", format="gslm")
    write_manifest(folder, "csv")
    assert run(corpus, tmp_path / "g", format="gslm").already_finished


def test_two_audio_files_of_one_key(tmp_path: Path) -> None:
    """Ids of a store made by rows without names, and of its labels, are one rule's."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    buffer = io.BytesIO()
    soundfile.write(buffer, np.random.default_rng(0).normal(size=900) * 0.1, 8000, format="WAV")
    audio = [{"bytes": buffer.getvalue(), "path": "audio.wav"}] * 3
    table = pa.table({"audio": audio, "sentence": ["a", "b", "c"], "start": [1.0, 2.0, 3.0]})
    (tmp_path / "data").mkdir()
    pq.write_table(table, tmp_path / "data/train.parquet")
    run(tmp_path / "data", tmp_path / "s")
    assert dict(open_store(tmp_path / "s").iter_labels()) == {
        f"train/{i}": {"text": text, "start": i + 1.0} for i, text in enumerate("abc")
    }
