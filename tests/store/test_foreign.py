"""The stores through the libraries that others read such files with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codectok.store import Store
from codectok.tokens import Tokens
from tests.store.making import make_info, make_rows, make_store

pytestmark = pytest.mark.usefixtures("no_sync")

IDS = [["103/1240/103-1240-0000", "a.b/c.d", "e f"], ["ü|語"]]


def stored(folder: Path, format: str, sizes: tuple[int, ...], dedup: bool = False, rate: int = 50) -> Store:
    info = make_info(format, sizes, dedup, rate)
    shards = [make_rows(info, [12, 1, 7], IDS[0], seed=1), make_rows(info, [5], IDS[1], seed=2)]
    return make_store(folder / "s", info, shards)


def matrices(store: Store) -> list[np.ndarray]:
    return [tokens.codes.numpy() for _, tokens in store]


def durations_of(tokens: Tokens) -> list[int]:
    assert tokens.durations is not None
    return tokens.durations.tolist()


@pytest.mark.parametrize("sizes", [(500,), (8, 70000)])
def test_kaldiio(tmp_path: Path, sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    kaldiio = pytest.importorskip("kaldiio")
    store = stored(tmp_path, "kaldi", sizes, dedup=True)
    monkeypatch.chdir(store.folder)
    found: dict[str, np.ndarray] = {}
    runs: dict[str, np.ndarray] = {}
    for shard in ("00000", "00001"):
        found |= dict(kaldiio.load_scp(f"shards/{shard}.scp"))
        runs |= dict(kaldiio.load_scp(f"shards/{shard}.durations.scp"))
        assert all(np.array_equal(array, found[key]) for key, array in kaldiio.load_ark(f"shards/{shard}.ark"))
        sizes_said = dict(line.split() for line in Path(f"shards/{shard}.utt2num_frames").read_text().splitlines())
        assert all(len(found[key]) == int(n) for key, n in sizes_said.items())
    assert list(found) == ["103/1240/103-1240-0000", "a.b/c.d", "e%20f", "ü|語"]
    for matrix, array in zip(matrices(store), found.values(), strict=True):
        assert array.dtype == np.int32
        assert np.array_equal(array, matrix.T)
    assert [d.tolist() for d in runs.values()] == [durations_of(t) for _, t in store]


def test_kaldiio_reads_the_text_form(tmp_path: Path) -> None:
    kaldiio = pytest.importorskip("kaldiio")
    store = stored(tmp_path, "kaldi", (500,))
    lines = (store.folder / "shards/00000.txt").read_text().splitlines()
    with kaldiio.WriteHelper(f"ark,t:{tmp_path / 'b.ark'}") as writer:
        writer("a", np.array(lines[0].split()[1:], dtype=np.int32))
    assert next(iter(kaldiio.load_ark(str(tmp_path / "b.ark"))))[1].tolist() == matrices(store)[0][0].tolist()


@pytest.mark.parametrize("sizes", [(500,), (8, 70000)])
@pytest.mark.parametrize("rate", [50, 25])
def test_lhotse(tmp_path: Path, sizes: tuple[int, ...], rate: int) -> None:
    lhotse = pytest.importorskip("lhotse")
    store = stored(tmp_path, "lhotse", sizes, rate=rate)
    shards = {f: sorted((store.folder / "shards").glob(f"*.{f}.*")) for f in ("cuts", "units")}
    cuts = list(lhotse.CutSet.from_shar(fields=shards))
    assert [cut.id for cut in cuts] == [key for key, _ in store]
    for cut, matrix, (_, tokens) in zip(cuts, matrices(store), store, strict=True):
        expected = matrix[0] if len(sizes) == 1 else matrix.T
        assert np.array_equal(cut.load_units(), expected)
        assert cut.audio_samples == tokens.num_samples
        assert cut.duration >= tokens.duration
    part = cuts[0].truncate(offset=3 / rate, duration=4 / rate)
    expected = matrices(store)[0]
    assert np.array_equal(part.load_units(), (expected[0] if len(sizes) == 1 else expected.T)[3:7])


def test_lhotse_with_merged_runs(tmp_path: Path) -> None:
    lhotse = pytest.importorskip("lhotse")
    store = stored(tmp_path, "lhotse", (6,), dedup=True)
    shards = {f: sorted((store.folder / "shards").glob(f"*.{f}.*")) for f in ("cuts", "units", "durations")}
    for cut, (_, tokens) in zip(lhotse.CutSet.from_shar(fields=shards), store, strict=True):
        assert np.array_equal(np.repeat(cut.load_units(), cut.load_durations()), tokens.expand().codes[0])


def test_webdataset(tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    store = stored(tmp_path, "webdataset", (8, 70000), dedup=True)
    urls = sorted(map(str, (store.folder / "shards").glob("*.tar")))
    samples = list(wds.WebDataset(urls, shardshuffle=False).decode())
    assert [s["__key__"] for s in samples] == ["103/1240/103-1240-0000", "a%2Eb/c%2Ed", "e f", "ü|語"]
    for sample, (key, tokens) in zip(samples, store, strict=True):
        assert sample["json"] == {"id": key, "num_samples": tokens.num_samples, "num_frames": tokens.num_frames}
        assert np.array_equal(sample["units.npy"], tokens.codes)
        assert sample["durations.npy"].tolist() == durations_of(tokens)
        assert sample["units.npy"].dtype == np.int32


def test_datasets_and_pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    pandas = pytest.importorskip("pandas")
    store = stored(tmp_path, "parquet", (8, 70000))
    files = str(store.folder / "shards" / "*.parquet")
    rows = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert rows["id"] == [key for key, _ in store]
    assert all(row["codes"] == matrix.tolist() for row, matrix in zip(rows, matrices(store), strict=True))
    frame = pandas.read_parquet(store.folder / "shards/00000.parquet")
    assert list(frame.columns) == ["id", "num_samples", "num_frames", "codes", "durations"]
    assert np.stack(frame["codes"][0]).tolist() == matrices(store)[0].tolist()
