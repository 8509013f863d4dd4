"""Names in a stranger's files never become paths outside the folder, and no folder of somebody else is replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codectok.corpus.prepare import prepare
from codectok.errors import CodectokError, FormatError
from codectok.files.inside import id_path, inside, safe_name
from codectok.llm.model.folder import new_folder
from codectok.store import open_store
from codectok.store.merge import merge_stores
from tests.store.making import make_info
from tests.store.test_merge import make, shards_of

EVIL = (
    "/etc/passwd", "../x", "..", ".", "", "a/../../x", "a/b", "a\\b", "C:x", "a\0b", "a\nb", "NUL", "con.txt", "com1",
    None, 3, ["a"],
)  # fmt: skip


@pytest.mark.parametrize("name", EVIL)
def test_what_is_no_plain_name_is_refused(name: object) -> None:
    with pytest.raises(FormatError, match="no plain file name"):
        safe_name(name, "list.json")


def test_plain_names_pass_and_links_out_do_not(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("00000.parquet", "console.txt", "a b", "é..x"):
        assert inside(folder, name, "list.json") == folder / name
    (tmp_path / "secret").write_text("x")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "near").symlink_to(folder / "a b")
    assert inside(folder, "near", "list.json")
    with pytest.raises(FormatError, match="outside"):
        inside(folder, "link", "list.json")


@pytest.mark.parametrize("name", ["../../victim", "/ABSOLUTE/victim", "a\0b"])
@pytest.mark.parametrize("where", ["record", "store.json"])
def test_a_crafted_part_neither_deletes_nor_writes_outside(tmp_path: Path, name: str, where: str) -> None:
    info = make_info("jsonl", (5, 4), False)
    shards = shards_of(info, [[3], [2]])
    parts = [make(tmp_path / "parts" / f"p{i}", info, shards, (i, 2)).folder for i in (1, 2)]
    victim = tmp_path / "victim"
    victim.write_text("mine")
    name = name.replace("/ABSOLUTE", str(tmp_path))
    path = parts[0] / ".work/00000.json" if where == "record" else parts[0] / "store.json"
    plain = json.loads(path.read_text())
    entry = plain if where == "record" else plain["shards"][0]
    entry["files"] = {name: "0" * 64}
    path.write_text(json.dumps(plain))
    with pytest.raises(FormatError, match="no plain file name"):
        merge_stores(parts, tmp_path / "out")
    assert victim.read_text() == "mine"
    if where == "store.json":
        with pytest.raises(FormatError, match="no plain file name"):
            open_store(parts[0])


def test_a_shard_that_links_out_of_its_part_is_not_taken(tmp_path: Path) -> None:
    info = make_info("jsonl", (5, 4), False)
    part = make(tmp_path / "p1", info, shards_of(info, [[3]]), (1, 1)).folder
    shard = next((part / "shards").iterdir())
    shard.rename(tmp_path / "elsewhere")
    shard.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FormatError, match="outside its folder"):
        merge_stores([part], tmp_path / "out")


def test_a_subset_of_gigaspeech_is_no_path(tmp_path: Path) -> None:
    root, out = tmp_path / "giga", tmp_path / "deep/out"
    root.mkdir()
    segment = {"sid": "a", "begin_time": 0, "end_time": 1, "subsets": ["{../../victim}"]}
    (root / "GigaSpeech.json").write_text(json.dumps({"audios": [{"path": "a.opus", "segments": [segment]}]}))
    with pytest.raises(CodectokError, match="no plain file name"):
        prepare("gigaspeech", root, out)
    assert not (tmp_path / "victim.jsonl").exists()


def test_overwrite_replaces_only_what_has_the_mark(tmp_path: Path) -> None:
    target = tmp_path / "photos"
    target.mkdir()
    (target / "a.jpg").write_text("x")
    with pytest.raises(FormatError, match="not made by this command"), new_folder(target, True, mark="pack.json"):
        pass
    assert (target / "a.jpg").read_text() == "x"
    (target / "pack.json").write_text("{}")
    with new_folder(target, True, mark="pack.json") as folder:
        (folder / "pack.json").write_text("{}")
    assert [p.name for p in target.iterdir()] == ["pack.json"]


HOSTILE = [
    *("..", "../../etc/passwd", "/abs/a", "a//b", "a/./b", "", "/", "a/", "C:\\x", "con", "nul.wav", "a\0b", "a\nb"),
    *("\ud800", ".hidden", "end.", "end ", "x" * 5000, "x" * 5000 + "y", "%2E%2E", "%", "a/%/b", "é" * 300, "a?b*c"),
]


def test_ids_become_different_paths_below_a_folder(tmp_path: Path) -> None:
    paths = [id_path(id) for id in HOSTILE]
    assert len({str(path).casefold() for path in paths}) == len(HOSTILE)
    for id, path in zip(HOSTILE, paths, strict=True):
        made = tmp_path / path.with_name(path.name + ".wav")
        assert made.resolve().is_relative_to(tmp_path.resolve()), id
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(b"")
        for part in path.parts:
            assert len(part.encode()) < 200
    assert sum(p.is_file() for p in tmp_path.rglob("*")) == len(HOSTILE)


@pytest.mark.parametrize("id", ["a", "en/0419-vm_rec.name", "LJ001-0001", "Ünï/çode 語", "utt.1"])
def test_plain_ids_stay(id: str) -> None:
    assert str(id_path(id)) == id
