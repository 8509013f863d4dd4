from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codectok.cli.store import merge, verify
from codectok.errors import CodectokError, FingerprintError, FormatError
from codectok.store import ItemError, Store, StoreInfo, StoreOptions, open_store
from codectok.store.info import Row
from codectok.store.merge import merge_stores
from codectok.store.names import FORMATS
from codectok.store.verify import verify_store
from codectok.store.writer import StoreWriter
from tests.store.making import make_info, make_rows


def shards_of(info: StoreInfo, lengths: list[list[int]]) -> list[tuple[list[Row], list[ItemError]]]:
    """Shards of that many rows, each third with a failed item."""
    return [
        (
            make_rows(info, rows, seed=i),
            [ItemError(f"e{i}", f"e{i}.wav", ("A", "B")[i % 2], "no")] if i % 3 == 0 else [],
        )
        for i, rows in enumerate(lengths)
    ]


def make(
    out: Path, info: StoreInfo, shards: list[tuple[list[Row], list[ItemError]]], part: tuple[int, int] | None = None
) -> Store:
    with StoreWriter(out, info, len(shards), part=part) as writer:
        for number in writer.numbers:
            writer.write_shard(number, *shards[number], f"items {number}")
        writer.close({"wall_seconds": float(number)} if writer.numbers else {})
    return open_store(out)


def content(folder: Path) -> dict[str, bytes]:
    """All bytes but the run's figures."""
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    stats = json.loads(found["stats.json"])
    del stats["run"]
    return found | {"stats.json": json.dumps(stats).encode()}


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    format=st.sampled_from(FORMATS),
    dedup=st.booleans(),
    lengths=st.lists(st.lists(st.integers(1, 6), max_size=3), min_size=1, max_size=7),
    parts=st.integers(1, 5),
    order=st.randoms(use_true_random=False),
)
def test_parts_merged_are_the_bytes_of_an_undivided_run(
    format: str, dedup: bool, lengths: list[list[int]], parts: int, order: object
) -> None:
    info = make_info(format, (5, 4) if format in ("parquet", "jsonl") else (9,), dedup)
    shards = shards_of(info, lengths)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "whole", info, shards)
        made = [make(folder / f"p{i}", info, shards, (i, parts)).folder for i in range(1, parts + 1)]
        order.shuffle(made)  # type: ignore[attr-defined]
        merged = merge_stores(made, folder / "merged")
        assert content(folder / "merged") == content(folder / "whole")
        assert list(verify_store(merged)) == []


def test_a_part_is_a_store_of_its_own(tmp_path: Path) -> None:
    info = make_info("parquet", (7,))
    shards = shards_of(info, [[3, 1], [2], [4], [1, 1], [5]])
    part = make(tmp_path / "p", info, shards, (2, 2))
    assert (part.part, part.num_shards, part.job_shards, list(part.numbers)) == ("2/2", 2, 5, [1, 3])
    assert list(part) == [row for i in (1, 3) for row in shards[i][0]]
    assert part["u3/1"] == part[2] == shards[3][0][1][1]
    assert [(r.id, r.shard, r.row) for r in part.index()] == [("u1/0", 1, 0), ("u3/0", 3, 0), ("u3/1", 3, 1)]
    assert [e.id for e in part.errors] == ["e3"]
    assert list(verify_store(part)) == []
    result = CliRunner().invoke(verify, [str(part.folder)])
    assert "(part 2/2): 3 items in 2 shards" in result.stdout
    before = {p: p.stat().st_mtime_ns for p in part.folder.rglob("*")}
    with StoreWriter(part.folder, info, 5, part=(2, 2)) as writer:
        assert writer.complete
    assert before == {p: p.stat().st_mtime_ns for p in part.folder.rglob("*")}


def test_more_parts_than_shards(tmp_path: Path) -> None:
    info = make_info("jsonl", (7,))
    shards = shards_of(info, [[3]])
    parts = [make(tmp_path / f"p{i}", info, shards, (i, 3)) for i in (1, 2, 3)]
    assert [len(p) for p in parts] == [1, 0, 0]
    assert list(verify_store(parts[2])) == []
    assert len(merge_stores([p.folder for p in parts], tmp_path / "m")) == 1


def test_what_cannot_be_merged_is_named(tmp_path: Path) -> None:
    info = make_info("jsonl", (7,))
    shards = shards_of(info, [[3], [1], [2], [2]])
    a, b, c = (make(tmp_path / f"p{i}", info, shards, (i, 4)).folder for i in (1, 2, 3))
    out = tmp_path / "m"
    with pytest.raises(FormatError, match=r"part 4 of 4 is missing: give all 4"):
        merge_stores([a, b, c], out)
    with pytest.raises(FormatError, match=r"parts 2, 4 of 4 are missing"):
        merge_stores([a, c], out)
    twin = make(tmp_path / "twin", info, shards, (2, 4)).folder
    with pytest.raises(FormatError, match=r"p2 and .*twin are both part 2/4"):
        merge_stores([a, b, twin], out)
    whole = make(tmp_path / "whole", info, shards).folder
    with pytest.raises(FormatError, match=r"whole is a whole store"):
        merge_stores([a, whole], out)
    other = make(tmp_path / "other", replace(info, fingerprint="0"), shards, (2, 4)).folder
    with pytest.raises(FingerprintError, match="different tokenizers"):
        merge_stores([a, other], out)
    for i, (changed, parts, message) in enumerate(
        [
            (replace(info, manifest="1"), (2, 4), "different corpora"),
            (replace(info, options=StoreOptions(items_per_shard=9)), (2, 4), "options"),
            (info, (2, 5), "number of parts 4 and 5"),
        ]
    ):
        with pytest.raises(FormatError, match=message):
            merge_stores([a, make(tmp_path / f"x{i}", changed, shards, parts).folder], out)
    d = make(tmp_path / "p4", info, shards, (4, 4)).folder
    with pytest.raises(CodectokError, match="is one of the parts"):
        merge_stores([a, b, c, d], a)
    StoreWriter(tmp_path / "begun", info, 4, part=(4, 4)).release()
    with pytest.raises(FormatError, match="not finished"):
        merge_stores([a, tmp_path / "begun"], out)
    assert not out.exists()


def test_merging_links_or_copies_checks_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = make_info("parquet", (7,))
    shards = shards_of(info, [[3], [1], [2], [2]])
    whole = make(tmp_path / "whole", info, shards).folder
    parts = [make(tmp_path / f"p{i}", info, shards, (i, 2)).folder for i in (1, 2)]
    merge_stores(parts, tmp_path / "linked")
    assert os.path.samefile(parts[1] / "shards/00001.parquet", tmp_path / "linked/shards/00001.parquet")

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    victim = parts[0] / "shards/00002.parquet"
    good = victim.read_bytes()
    victim.write_bytes(good[:-1] + b"?")
    with pytest.raises(FormatError, match=r"p1/shards/00002.parquet is damaged: copy the part again"):
        merge_stores(parts, tmp_path / "copied")
    assert not (tmp_path / "copied/store.json").exists()
    assert (tmp_path / "copied/.work/00001.json").exists()
    victim.write_bytes(good)
    merge_stores(parts, tmp_path / "copied")
    assert content(tmp_path / "copied") == content(tmp_path / "linked") == content(whole)
    shutil.rmtree(parts[0])
    assert list(verify_store(open_store(tmp_path / "linked"))) == []


def test_merge_command(tmp_path: Path) -> None:
    info = make_info("jsonl", (7,))
    shards = shards_of(info, [[3, 2], [1]])
    parts = [str(make(tmp_path / f"p{i}", info, shards, (i, 2)).folder) for i in (1, 2)]
    result = CliRunner().invoke(merge, [*parts, "-o", str(tmp_path / "m"), "--json"])
    assert result.exit_code == 0, result.output
    assert {"parts": 2, "items": 3, "failed": 1, "shards": 2}.items() <= json.loads(result.stdout).items()
    result = CliRunner().invoke(merge, [parts[0], "-o", str(tmp_path / "n")])
    assert result.exit_code == 2
    assert result.stderr == "Error: part 2 of 2 is missing: give all 2, made with --shard I/N\n"
