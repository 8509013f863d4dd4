"""``codectok verify --corpus --sample``: a store against its manifest, and codes made again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from codectok.cli.store import verify
from codectok.corpus.pipeline import tokenize_corpus
from codectok.corpus.recheck import check_manifest, check_sample
from codectok.items.corpus import read_corpus
from codectok.store import Store, open_store
from codectok.tokenizer import Tokenizer, load


class Leaky(type(load("random"))):  # type: ignore[misc]
    """Codes that depend on what else is in the batch: what an exact tie looks like, at its worst."""

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list:  # type: ignore[type-arg]
        found = super()._encode(clips, num_codebooks)
        return [(codes + len(clips)) % self.codebook_sizes[0] for codes in found]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = tmp_path / "audio"
    out.mkdir()
    for i in range(9):
        soundfile.write(out / f"{i}.wav", np.random.default_rng(i).normal(size=4000 + 100 * i) / 9, 16000)
    (out / "3.wav").write_bytes(b"RIFFnothing")
    return out


def make(folder: Path, out: Path, tokenizer: Tokenizer | None = None, **options: object) -> Store:
    tokenize_corpus(read_corpus(folder), tokenizer or load("random"), out, items_per_shard=2, **options)  # type: ignore[arg-type]
    return open_store(out)


@pytest.mark.parametrize("dedup", [False, True])
def test_a_sound_store(folder: Path, tmp_path: Path, dedup: bool) -> None:
    store = make(folder, tmp_path / "s", dedup=dedup)
    part = make(folder, tmp_path / "p", dedup=dedup, shard=(2, 2))
    for each in (store, part):
        assert list(check_manifest(each, read_corpus(folder))) == []
        found = check_sample(each, read_corpus(folder), load("random"), 5)
        assert (found.problems, found.differing, found.items) == ([], 0, min(5, len(each)))
    assert check_sample(store, read_corpus(folder), load("random"), 99).frames == sum(t.num_frames for _, t in store)


def test_another_order_or_corpus_is_named(folder: Path, tmp_path: Path) -> None:
    store = make(folder, tmp_path / "s")
    (folder / "1.wav").rename(folder / "1b.wav")
    first, second = check_manifest(store, read_corpus(folder))
    assert "item 1 of" in first
    assert "'1b', is not where it should be: the store goes on with '1'" in first
    assert "has changed since" in second
    (folder / "1b.wav").rename(folder / "1.wav")
    (folder / "8.wav").unlink()
    assert "from '8' on" in next(check_manifest(store, read_corpus(folder)))


def test_an_item_in_another_shard_is_named(folder: Path, tmp_path: Path) -> None:
    store = make(folder, tmp_path / "s")
    described = json.loads((store.folder / "store.json").read_text())
    described["options"]["items_per_shard"] = 3
    (store.folder / "store.json").write_text(json.dumps(described))
    assert "item 2 of" in next(check_manifest(open_store(store.folder), read_corpus(folder)))


def test_changed_audio_or_tokenizer_is_found(folder: Path, tmp_path: Path) -> None:
    store = make(folder, tmp_path / "s")
    pcm = make(folder, tmp_path / "pcm", load("pcm"))
    soundfile.write(folder / "4.wav", np.random.default_rng(99).normal(size=4400) / 9, 16000)
    soundfile.write(folder / "5.wav", np.zeros(100), 16000)
    (folder / "6.wav").write_bytes(b"")
    found = check_sample(pcm, read_corpus(folder), load("pcm"), 99)
    said = "\n".join(found.problems)
    assert len(found.problems) == 3
    assert "'4' gets other codes now" in said
    assert "'5' has 2250 samples in the store" in said or "'5' has" in said
    assert "'6' cannot be tokenized again" in said
    assert "is another" in check_sample(store, read_corpus(folder), load("pcm"), 9).problems[0]


def test_an_item_that_differs_alone_is_made_again_in_its_batch(folder: Path, tmp_path: Path) -> None:
    store = make(folder, tmp_path / "s", Leaky())
    found = check_sample(store, read_corpus(folder), Leaky(), 99)
    assert (found.problems, found.differing) == ([], 0)
    other = check_sample(store, read_corpus(folder), Leaky(), 99, batch_seconds=0.01)  # not the batches that it had
    assert other.problems


def test_command(folder: Path, tmp_path: Path) -> None:
    store = make(folder, tmp_path / "s")
    arguments = [str(store.folder), "--corpus", str(folder)]
    result = CliRunner().invoke(verify, [*arguments, "--sample", "3"])
    assert result.exit_code == 0, result.output
    assert f"order and items as in {folder}" in result.stdout
    assert "3 items tokenized again, " in result.stdout
    assert "all equal" in result.stdout
    (folder / "8.wav").unlink()
    result = CliRunner().invoke(verify, [*arguments, "--json"])
    assert result.exit_code == 1
    assert len(json.loads(result.stdout)["problems"]) == 2
    for option in (["--sample", "3"], ["--ffmpeg"]):
        result = CliRunner().invoke(verify, [str(store.folder), *option])
        assert result.exit_code == 2
        assert re.search("needs? --corpus", result.stderr)
