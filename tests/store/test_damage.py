"""Damage of any kind is found by verify, in one line each; reading and converting end in an error of ours."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from codectok.cli.store import verify
from codectok.errors import CodectokError, FormatError
from codectok.store import open_store
from codectok.store.convert import convert_store
from codectok.store.names import FORMATS
from codectok.store.stats import UnitCounts
from codectok.store.verify import verify_store
from tests.store.making import make_info, make_rows, make_store

pytestmark = pytest.mark.usefixtures("no_sync")
FLIPS = 60


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small store of each format, of two shards."""
    found = {}
    for format in FORMATS:
        info = make_info(format, (8,), dedup=True)
        found[format] = tmp_path_factory.mktemp("stores") / format
        make_store(found[format], info, [make_rows(info, [4, 9], seed=1), make_rows(info, [6], seed=2)])
    return found


@pytest.fixture
def copy(stores: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda format: Path(shutil.copytree(stores[format], tmp_path / format))


def problems(folder: Path) -> list[str]:
    found = list(verify_store(open_store(folder)))
    assert all("\n" not in line for line in found)
    return found


def damaged(data: bytes, chance: random.Random) -> Iterator[bytes]:
    """Copies with a bit flipped, bytes overwritten, or bytes cut out."""
    for i in range(FLIPS):
        at = chance.randrange(len(data))
        end = at + chance.randrange(1, 20)
        flipped = bytes([data[at] ^ 1 << chance.randrange(8)])
        yield data[:at] + (flipped + data[at + 1 :], chance.randbytes(end - at) + data[end:], data[end:])[i % 3]


@pytest.mark.parametrize("format", FORMATS)
def test_whatever_is_damaged_an_error_of_ours_comes(copy: Callable[[str], Path], format: str) -> None:
    store = open_store(copy(format))
    chance = random.Random(format)
    names = [f"shards/{name}" for name in store.shards[0]["files"]]
    for name in [*names, "index.parquet"]:
        path = store.folder / name
        whole = path.read_bytes()
        for data in damaged(whole, chance):
            path.write_bytes(data)
            with contextlib.suppress(CodectokError):
                _ = list(store.index()) if name == "index.parquet" else list(store.read_shard(0))
        path.write_bytes(whole)


@pytest.mark.parametrize("format", FORMATS)
def test_every_file_is_compared(copy: Callable[[str], Path], format: str) -> None:
    folder = copy(format)
    assert problems(folder) == []
    chance = random.Random(format)
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "store.json"):
        whole = path.read_bytes()
        at = chance.randrange(len(whole))
        if path.name != "stats.json":  # its figures are compared one by one
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            assert any(path.name in line for line in problems(folder)), path
        path.unlink()
        assert any(path.name in line for line in problems(folder)), path
        path.write_bytes(whole)
    assert problems(folder) == []


@pytest.mark.parametrize(
    ("key", "value"), [("tokenizer", "other"), ("fingerprint", "0" * 32), ("manifest", "1"), ("sha256", None)]
)
def test_a_description_that_was_edited_is_found(copy: Callable[[str], Path], key: str, value: str | None) -> None:
    folder = copy("fairseq")
    description = json.loads((folder / "store.json").read_text())
    (folder / "store.json").write_text(json.dumps({**description, key: value}, indent=1))
    assert problems(folder) == ["store.json is not as it was written: its sha256 differs"]
    (folder / "store.json").write_text(json.dumps(description))  # laid out otherwise, it says the same
    assert problems(folder) == []


def test_a_damaged_index_is_one_line_and_shards_are_checked_all_the_same(copy: Callable[[str], Path]) -> None:
    folder = copy("jsonl")
    (folder / "index.parquet").write_bytes((folder / "index.parquet").read_bytes()[:-9])
    (folder / "shards/00001.jsonl").unlink()
    result = CliRunner().invoke(verify, [str(folder)])
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert sum("index.parquet" in line for line in lines) == 2  # its sha256, and that it cannot be read
    assert any("shards/00001.jsonl is missing" in line for line in lines)


def test_a_damaged_store_is_not_converted(copy: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy("fairseq")
    units = folder / "shards/00001.km"
    other = b"1" if units.read_bytes()[:1] != b"1" else b"2"
    units.write_bytes(other + units.read_bytes()[1:])  # units all the same
    with pytest.raises(FormatError, match=r"shard 1 of .* is damaged"):
        convert_store(open_store(folder), tmp_path / "out", format="gslm")
    assert not (tmp_path / "out/store.json").exists()


def test_a_shard_of_another_length_is_named_when_it_is_opened_and_a_changed_byte_by_verify(
    copy: Callable[[str], Path],
) -> None:
    folder = copy("parquet")
    path = folder / "shards/00001.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole + b"x")
    store = open_store(folder)
    assert len(list(store.read_shard(0))) == 2
    with pytest.raises(FormatError, match=rf"shards/00001.parquet should have {len(whole)} bytes and has"):
        list(store.read_shard(1))
    path.write_bytes(whole[:8] + bytes([whole[8] ^ 1]) + whole[9:])
    assert any("shards/00001.parquet is not the file that was written" in line for line in problems(folder))


def test_a_store_without_sizes_is_read_as_before(copy: Callable[[str], Path]) -> None:
    folder = copy("jsonl")
    description = json.loads((folder / "store.json").read_text())
    for entry in description["shards"]:
        del entry["bytes"]
    (folder / "store.json").write_text(json.dumps(description))
    assert len(list(open_store(folder))) == 3


def test_a_shard_that_is_a_link_out_of_the_store_is_refused(copy: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy("jsonl")
    path = folder / "shards/00000.jsonl"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FormatError, match="outside its folder"):
        list(open_store(folder))
    assert any("outside its folder" in line for line in problems(folder))


def test_a_store_in_a_cache_of_the_hub_is_read_through_its_links(copy: Callable[[str], Path], tmp_path: Path) -> None:
    blobs, folder = tmp_path / "repo/blobs", tmp_path / "repo/snapshots/1"
    blobs.mkdir(parents=True)
    folder.parent.mkdir()
    copy("jsonl").rename(folder)
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        path.rename(blobs / path.name)
        path.symlink_to(blobs / path.name)
    assert len(list(open_store(folder))) == 3


@pytest.mark.parametrize(
    ("key", "value"),
    [("sample_rate", 0), ("sample_rate", 10**30), ("sample_rate", True), ("rows", -1), ("rows", True), ("rows", None)],
)
def test_numbers_of_a_description_that_no_store_has(copy: Callable[[str], Path], key: str, value: object) -> None:
    folder = copy("jsonl")
    path = folder / "store.json"
    description = json.loads(path.read_text())
    (description["shards"][0] if key == "rows" else description)[key] = value
    path.write_text(json.dumps(description))
    with pytest.raises(FormatError, match="damaged"):
        open_store(folder)


def test_codebooks_too_large_to_be_counted() -> None:
    with pytest.raises(FormatError, match="the most"):
        UnitCounts(make_info("jsonl", (2**30,)))
