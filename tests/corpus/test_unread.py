"""Audio of kinds that are not read: counted and named, never left out in silence; ffmpeg where it is asked for."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from codectok import read_audio
from codectok.files.suffixes import AUDIO_SUFFIXES, UNREAD_SUFFIXES
from codectok.items.corpus import read_corpus
from codectok.store import open_store
from tests.audio.making import RATE, encoded, noise
from tests.corpus.test_damaged import run, tokenize

CONTAINERS = {
    ".aiff": "AIFF", ".aif": "AIFF", ".au": "AU", ".snd": "AU", ".caf": "CAF", ".w64": "W64", ".rf64": "RF64",
    ".oga": "OGG", ".sph": "NIST", ".mp2": "MP3",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "a.wav").write_bytes(encoded(tmp_path, noise(4000), "WAV"))
    return corpus


def write_tar(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(data, bytes):
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            else:
                tar.addfile(info)


def write_parquet(target: Path, **columns: list[object]) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table(columns), target)


def test_what_libsndfile_reads_is_taken(folder: Path, tmp_path: Path) -> None:
    for i, (suffix, format) in enumerate(CONTAINERS.items()):
        (folder / f"{i:02}{suffix.upper()}").write_bytes(encoded(tmp_path, noise(4000), format))
    assert set(CONTAINERS) <= set(AUDIO_SUFFIXES)
    assert tokenize(folder, tmp_path / "s").exit_code == 0
    assert [row.id for row in open_store(tmp_path / "s")] == [f"{i:02}" for i in range(len(CONTAINERS))] + ["a"]


def test_what_it_does_not_read_is_counted_and_named(folder: Path, tmp_path: Path) -> None:
    for i in range(12):
        (folder / f"x{i}.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    for suffix in UNREAD_SUFFIXES[1:]:
        (folder / f"y{suffix}").write_bytes(b"something else" * 10)
    done = tokenize(folder, tmp_path / "s")
    assert done.exit_code == 1
    assert "failed: 12 .m4a files are not read: convert them, e.g. with ffmpeg, or give --ffmpeg\n" in done.stderr
    assert "failed: 1 .webm file is not read" in done.stderr
    assert len(done.stderr.splitlines()) == len(UNREAD_SUFFIXES)
    store = open_store(tmp_path / "s")
    assert store.stats["failures"] == {"UnreadFormatError": 11 + len(UNREAD_SUFFIXES)}
    assert "x3.m4a" in {error.id for error in store.errors}
    encode = run("encode", folder, "-o", tmp_path / "e", "--tokenizer", "pcm")
    assert encode.exit_code == 1
    assert "x3.m4a is not read" in encode.stderr
    assert (tmp_path / "e/a.ctk").is_file()


def test_a_file_under_such_a_name_that_is_audio_is_read(folder: Path, tmp_path: Path) -> None:
    (folder / "b.m4a").write_bytes(encoded(tmp_path, noise(4000), "FLAC"))
    assert tokenize(folder, tmp_path / "s").exit_code == 0
    assert [row.id for row in open_store(tmp_path / "s")] == ["a", "b.m4a"]


def test_shards_beside_audio_are_named(folder: Path, tmp_path: Path) -> None:
    wav = encoded(tmp_path, noise(4000), "WAV")
    write_tar(folder / "shard.tar", {"x.wav": wav})
    write_tar(folder / "texts.tar", {"x.txt": b"no audio"})
    write_parquet(folder / "shard.parquet", audio=[{"bytes": wav, "path": "x.wav"}])
    write_parquet(folder / "metadata.parquet", file_name=["a.wav"], text=["words"])
    done = tokenize(folder, tmp_path / "s")
    assert done.exit_code == 1
    assert "failed: 1 .tar file is not read: give them as a corpus of their own\n" in done.stderr
    assert {error.id for error in open_store(tmp_path / "s").errors} == {"shard.tar", "shard.parquet"}


def test_a_store_inside_the_corpus_is_no_shard_of_it(folder: Path) -> None:
    before = [item.id for item in read_corpus(folder)]
    assert tokenize(folder, folder / "tokens").exit_code == 0
    assert [item.id for item in read_corpus(folder)] == before == ["a"]
    assert tokenize(folder, folder / "webdataset", "--format", "webdataset").exit_code == 0
    assert [item.id for item in read_corpus(folder)] == before


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_pipes_links_and_devices_as_shards_and_members(tmp_path: Path) -> None:
    wav = encoded(tmp_path, noise(4000), "WAV")
    members: dict[str, bytes | tarfile.TarInfo] = {"a.wav": wav, "b.m4a": b"\0\0\0\x20ftypM4A "}
    for name, kind in {"c": tarfile.FIFOTYPE, "d": tarfile.SYMTYPE, "e": tarfile.CHRTYPE}.items():
        info = tarfile.TarInfo(f"{name}.wav")
        info.type, info.linkname = kind, "a.wav"
        members[info.name] = info
    (tmp_path / "tars").mkdir()
    write_tar(tmp_path / "tars/0.tar", members)
    os.mkfifo(tmp_path / "tars/1.tar")
    done = tokenize(tmp_path / "tars", tmp_path / "s")
    assert done.exit_code == 1
    store = open_store(tmp_path / "s")
    assert [row.id for row in store] == ["a"]
    assert {error.id for error in store.errors} == {"b", "c", "d", "e", "1.tar"}
    assert "(a link or device) is empty" in done.stderr

    (tmp_path / "rows").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    write_parquet(tmp_path / "rows/1.parquet", wav=["../pipe.wav"])
    os.mkfifo(tmp_path / "rows/2.parquet")
    done = tokenize(tmp_path / "rows", tmp_path / "t")
    assert done.exit_code == 2  # nothing at all could be used
    assert done.stderr.count("a pipe, socket or device") == 2


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_a_folder_of_shards_with_a_folder_that_cannot_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "c/locked").mkdir(parents=True)
    wav = encoded(tmp_path, noise(4000), "WAV")
    if kind == "tar":
        write_tar(tmp_path / "c/0.tar", {"a.wav": wav})
    else:
        write_parquet(tmp_path / "c/0.parquet", id=["a"], audio=[{"bytes": wav, "path": "x.wav"}])
    (tmp_path / "c/b.m4a").write_bytes(b"?")
    scandir = os.scandir

    def refusing(path: str | Path = ".") -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    done = tokenize(tmp_path / "c", tmp_path / "s")
    assert done.exit_code == 1
    store = open_store(tmp_path / "s")
    assert [row.id for row in store] == ["a"]
    assert {error.id for error in store.errors} == {"locked/", "b.m4a"}


FAKE = """#!{python}
import sys
args = sys.argv[1:]
open({log!r}, "a").write("x")
assert args[:4] == ["-nostdin", "-v", "error", "-i"] and args[-3:] == ["-f", "au", "pipe:1"], args
if "bad" in args[4]:
    sys.exit("bad.m4a: Invalid data found when processing input")
data = open(args[4].removeprefix("file:"), "rb").read().removeprefix(b"m4a")
sys.stdout.buffer.write(data[:8] + b"\\xff" * 4 + data[12:])
"""
"""Answers as ffmpeg does: a header that does not know its length, then samples; here those that follow "m4a"."""


@pytest.mark.skipif(os.name != "posix", reason="a script stands for ffmpeg")
def test_ffmpeg_decodes_where_it_is_asked_for(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    without = tokenize(folder, tmp_path / "s", "--ffmpeg")
    assert without.exit_code == 2
    assert "ffmpeg is not installed" in without.stderr

    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin/ffmpeg"
    script.write_text(FAKE.format(python=sys.executable, log=str(tmp_path / "log")))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (folder / "b.m4a").write_bytes(b"m4a" + encoded(tmp_path, noise(8000, 1), "AU", "FLOAT"))
    (folder / "bad.m4a").write_bytes(b"m4a")
    done = tokenize(folder, tmp_path / "s", "--ffmpeg")
    assert done.exit_code == 1
    assert "cannot be decoded by ffmpeg (bad.m4a: Invalid data" in done.stderr
    store = open_store(tmp_path / "s")
    assert [row.id for row in store] == ["a", "b.m4a"]
    lines = [{"id": str(i), "path": "b.m4a", "offset": i / 40, "duration": 0.025} for i in range(19, -1, -1)]
    (folder / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "log").unlink()
    assert tokenize(folder / "m.jsonl", tmp_path / "segments", "--ffmpeg", "--shard-size", 5).exit_code == 0
    assert (tmp_path / "log").read_text() == "x"  # decoded once
    soundfile.write(tmp_path / "b.wav", noise(8000, 1), RATE, "FLOAT")
    (tmp_path / "alone").mkdir()
    (tmp_path / "b.wav").rename(tmp_path / "alone/b.wav")
    assert tokenize(tmp_path / "alone", tmp_path / "t").exit_code == 0
    [expected] = open_store(tmp_path / "t")
    np.testing.assert_array_equal(store["b.m4a"].codes.numpy(), expected[1].codes.numpy())
    assert run("verify", tmp_path / "s", "--corpus", folder, "--ffmpeg", "--sample", 2).exit_code == 0
    assert len(read_audio(tmp_path / "alone/b.wav")[0]) == 8000
