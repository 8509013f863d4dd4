"""The files against lines as the recipes of the field write them, character for character."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from codectok.store import StoreInfo, open_store
from tests.store.making import make_info, make_store, row_of

pytestmark = pytest.mark.usefixtures("no_sync")

ID = "103-1240-0000"
FRAMES = [[17, 17, 296, 296, 20]]


def files(folder: Path, format: str, codes: list[list[int]], dedup: bool = False, id: str = ID) -> dict[str, str]:
    """Text of the shard's files and of the store's extras, by suffix or name."""
    info: StoreInfo = make_info(format, (500,) * len(codes), dedup)
    store = make_store(folder / "s", info, [[row_of(info, id, codes)]])
    paths = [*(store.folder / "shards").iterdir(), *(store.folder / name for name in store.format.extras)]
    assert list(open_store(store.folder)) == [row_of(info, id, codes)]
    return {p.name.removeprefix("00000"): p.read_bytes().decode("utf-8", "replace") for p in paths}


def test_fairseq(tmp_path: Path) -> None:
    units = [17, 17, 17, 17, 296, 296, 20, 20, 20, 461, 461]
    found = files(tmp_path, "fairseq", [units], id="103/1240/103-1240-0000.flac")
    assert found[".km"] == "17 17 17 17 296 296 20 20 20 461 461\n"
    assert found[".tsv"] == ".\n103/1240/103-1240-0000.flac\t190800\n"
    assert found["dict.km.txt"].splitlines()[:2] == ["0 1", "1 1"]
    merged = files(tmp_path / "merged", "fairseq", [units], dedup=True)
    assert (merged[".km"], merged[".dur"]) == ("17 296 20 461\n", "4 2 3 2\n")


def test_gslm(tmp_path: Path) -> None:
    found = files(tmp_path, "gslm", FRAMES)
    assert found == {".txt": "103-1240-0000|17 17 296 296 20\n", ".tsv": ".\n103-1240-0000\t190800\n"}
    assert files(tmp_path / "merged", "gslm", FRAMES, dedup=True)[".dur"] == "2 2 1\n"


def test_textless(tmp_path: Path) -> None:
    codes = [[71] * 4 + [12] + [56] * 2 + [57] * 3]
    found = files(tmp_path, "textless", codes, dedup=True)
    assert found[".units"] == "103-1240-0000\t71 12 56 57\n"
    assert found[".durations"] == "103-1240-0000\t4 1 2 3\n"


def test_espnet(tmp_path: Path) -> None:
    found = files(tmp_path, "espnet", FRAMES, dedup=True)
    assert found[".text"] == "103-1240-0000 丑伨且\n"
    assert found[".durations"] == "103-1240-0000 2 2 1\n"
    assert found[".utt2num_samples"] == "103-1240-0000 190800\n"
    assert found["distinct_cjk_token_lists"].splitlines()[:2] == ["0 一", "1 丁"]
    assert len(found["distinct_cjk_token_lists"].splitlines()) == 500


def test_kaldi(tmp_path: Path) -> None:
    found = files(tmp_path, "kaldi", FRAMES)
    assert found[".txt"] == "103-1240-0000 17 17 296 296 20\n"
    assert found[".scp"] == "103-1240-0000 shards/00000.ark:14\n"
    assert found[".utt2num_frames"] == "103-1240-0000 5\n"
    assert found[".utt2num_samples"] == "103-1240-0000 190800\n"
    assert ".txt" not in files(tmp_path / "two", "kaldi", FRAMES * 2)


def test_webdataset(tmp_path: Path) -> None:
    info = make_info("webdataset", (500,))
    make_store(tmp_path / "s", info, [[row_of(info, "000001", FRAMES), row_of(info, "a/b.c", FRAMES)]])
    with tarfile.open(tmp_path / "s/shards/00000.tar") as tar:
        assert tar.getnames() == ["000001.units.npy", "000001.json", "a/b%2Ec.units.npy", "a/b%2Ec.json"]
        units, entry = (tar.extractfile(m) for m in tar.getmembers()[:2])
        assert units is not None
        assert entry is not None
        units.seek(0)
        assert json.load(entry) == {"id": "000001", "num_samples": 190800, "num_frames": 5}


def test_lhotse(tmp_path: Path) -> None:
    import gzip

    info = make_info("lhotse", (500,))
    codes = np.zeros((1, 596), int).tolist()
    make_store(tmp_path / "s", info, [[row_of(info, ID, codes)]])
    (line,) = gzip.decompress((tmp_path / "s/shards/00000.cuts.jsonl.gz").read_bytes()).splitlines()
    cut = json.loads(line)
    assert cut["id"] == ID
    units = cut["custom"]["units"]
    assert units.pop("array")["shape"] == [596]
    assert units == {"temporal_dim": 0, "frame_shift": 0.02, "start": 0.0}


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_own_formats(tmp_path: Path, format: str) -> None:
    found = files(tmp_path, format, [[5, 0, 7], [1, 1, 2]], dedup=True)
    if format == "jsonl":
        line = '{"id": "103-1240-0000", "num_samples": 190800, "num_frames": 3, "codes": [[5, 0, 7], [1, 1, 2]], '
        assert found[".jsonl"] == line + '"durations": [1, 1, 1]}\n'
