"""Local, Ray and four parts merged: the same bytes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from codectok.corpus.pipeline import tokenize_corpus
from codectok.errors import CodectokError
from codectok.items.corpus import read_corpus
from codectok.store import open_store
from codectok.store.merge import merge_stores
from codectok.store.verify import verify_store
from codectok.tokenizer import load
from tests.store.test_merge import content

ray = pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=3, object_store_memory=100 * 2**20, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audio")
    rng = np.random.default_rng(0)
    for i in range(11):
        soundfile.write(folder / f"a{i:02}.wav", rng.normal(size=800 + 977 * (i * 7 % 11)) / 9, 16000)
    (folder / "a03.wav").write_bytes(b"RIFFnothing")
    return folder


def run(corpus: Path, out: Path, **options: Any) -> dict[str, Any]:
    return tokenize_corpus(read_corpus(corpus), load("pcm"), out, items_per_shard=2, **options).stats


def test_local_ray_and_merged_parts_are_the_same_bytes(cluster: None, corpus: Path, tmp_path: Path) -> None:
    local = run(corpus, tmp_path / "local")
    told: list[tuple[int, int]] = []
    spread = run(corpus, tmp_path / "ray", engine="ray", progress=lambda done, total: told.append((done, total)))
    for i in range(1, 5):
        run(corpus, tmp_path / f"part{i}", shard=(i, 4))
    merge_stores([tmp_path / f"part{i}" for i in (3, 1, 4, 2)], tmp_path / "merged")
    whole = content(tmp_path / "local")
    assert content(tmp_path / "ray") == whole
    assert content(tmp_path / "merged") == whole
    assert list(verify_store(open_store(tmp_path / "ray"))) == []
    assert told[-1] == (11, 11)
    assert len(told) == 6
    assert (local["failed"], spread["failed"]) == (1, 1)
    assert spread["run"]["read_seconds"] > 0

    # Finished shards are not sent again.
    again = tmp_path / "again"
    shutil.copytree(tmp_path / "part1", again)  # shards 0 and 4, with their records
    (again / "store.json").unlink()
    job = json.loads((tmp_path / "local/store.json").read_text())
    (again / ".work/job.json").write_text(json.dumps(job))
    resumed = run(corpus, again, engine="ray")
    assert resumed["run"]["resumed_shards"] == 2
    assert content(again) == whole


def test_what_goes_wrong_in_an_actor_is_one_line(
    cluster: None, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = load("pcm")
    tokenizer.fingerprint = "another"
    with pytest.raises(CodectokError, match=r"^shard \d cannot be made on \S+: pcm is not the tokenizer that") as said:
        tokenize_corpus(read_corpus(corpus), tokenizer, tmp_path / "s", items_per_shard=2, engine="ray")
    assert "\n" not in str(said.value)
    assert not list((tmp_path / "s").rglob("todo*"))
    assert ray.is_initialized()  # a cluster that was there stays


def test_too_many_failures_stop_it(cluster: None, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(CodectokError, match="more than --max-errors 0"):
        run(corpus, tmp_path / "s", engine="ray", max_errors=0)
