"""`codectok units fit` from end to end, on the baselines that need no model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.numpy import load_file

import codectok
from codectok.items.corpus import read_corpus
from codectok.transforms.unit_bpe import UnitBPE
from kmeans_units.cli import units
from tests.kmeans.fake_encoder import write_corpus

pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), [0.4, 0.8, 0.05, 0.6, 0.3, 0.7])


@pytest.fixture
def recipe(tmp_path: Path, corpus: Path) -> str:
    keys = {"data": corpus, "encoder": "logmel", "layer": 0, "k": 8, "valid_share": 0.3, "cache": tmp_path / "cache"}
    (tmp_path / "r.yaml").write_text("".join(f"{key}: {value}\n" for key, value in keys.items()))
    return str(tmp_path / "r.yaml")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(units, ["fit", *map(str, arguments)])


def failed(result: Result) -> str:
    """The one line that an error is."""
    assert result.exit_code == 2, result.output
    assert not isinstance(result.exception, AssertionError)
    (line,) = result.stderr.strip().splitlines()
    return line


def test_a_folder_that_load_opens(recipe: str, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(recipe, "-o", out)
    assert result.exit_code == 0, result.output
    assert "held-out" in result.stdout
    tokenizer = codectok.load(str(out))
    assert tokenizer.codebook_sizes == (8,)
    audio, rate = codectok.read_audio(corpus / "clip001.wav")
    tokens, features = tokenizer.encode(audio, rate), tokenizer.features(audio, rate)
    centroids = load_file(out / "model.safetensors")["streams.0.centroids.0"]
    nearest = np.square(features.numpy()[:, None] - centroids).sum(2).argmin(1)
    assert np.array_equal(tokens.codes[0].numpy(), nearest)
    report = json.loads((out / "fit.json").read_text())
    (stream,) = report["streams"]
    (level,) = stream["levels"]
    assert report["data_sha256"] == read_corpus(corpus).scan().sha256
    assert (report["clips"], report["valid_clips"], report["failed"]) == (6, 2, 0)
    assert report["hours"] == pytest.approx(2.85 / 3600)
    assert report["fit_frames"] == level["points"] == report["frames"] - report["valid_frames"]
    assert (level["k"], level["dead"], report["recipe"]["k"]) == (8, 0, [8])
    assert 0 < level["inertia"] < 1.5 * level["valid_inertia"]
    assert level["valid_inertia"] < stream["variance"]


def test_levels_and_layers(recipe: str, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(recipe, "k=[6,5,4]", "standardize=true", "-o", out).exit_code == 0
    tokenizer = codectok.load(str(out))
    assert tokenizer.codebook_sizes == (6, 5, 4)
    audio, rate = codectok.read_audio(corpus / "clip001.wav")
    assert tokenizer.encode(audio, rate).codes.shape[0] == 3


def test_seed_decides_the_model(recipe: str, tmp_path: Path) -> None:
    made = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        out = tmp_path / name
        assert run(recipe, f"seed={seed}", "cache=", "-o", out).exit_code == 0
        made.append((out / "model.safetensors").read_bytes())
    assert made[0] == made[1] != made[2]


def test_another_k_needs_no_encoding(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(recipe, "-o", tmp_path / "a").exit_code == 0
    monkeypatch.setattr("kmeans_units.sampling._encode", None)
    assert run(recipe, "k=5", "-o", tmp_path / "b").exit_code == 0
    assert codectok.load(str(tmp_path / "b")).codebook_sizes == (5,)


def test_another_model_is_not_overwritten_unless_asked(recipe: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(recipe, "-o", out).exit_code == 0
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert run(recipe, "-o", out).exit_code == 0, "the same fit is there already"
    assert "another model" in failed(run(recipe, "k=5", "-o", out))
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    (out / "vocoder").mkdir()
    assert run(recipe, "k=5", "--overwrite", "-o", out).exit_code == 0
    assert codectok.load(str(out)).codebook_sizes == (5,)
    assert not (out / "vocoder").exists(), "a vocoder of other units"


def test_folders_of_other_models_and_files_are_never_touched(recipe: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "hubert"}')
    assert "no unit tokenizer" in failed(run(recipe, "--overwrite", "-o", other))
    assert [p.name for p in other.iterdir()] == ["config.json"]
    (tmp_path / "file").write_text("x")
    assert "is a file" in failed(run(recipe, "-o", tmp_path / "file"))


def test_a_fit_that_fails_leaves_no_model(recipe: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "clusters need at least" in failed(run(recipe, "k=5000", "-o", out))
    assert not out.exists()


def test_failed_clips_are_listed_and_exit_is_1(recipe: str, corpus: Path, tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "c", [0.5, 0.5, 0.5])
    (folder / "clip001.wav").write_bytes(b"no audio")
    result = run(recipe, f"data={folder}", "--json", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith("failed: clip001")
    assert json.loads(result.stdout)["failed"] == 1


def test_bpe_of_the_units(recipe: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(recipe, "-o", out).exit_code == 0
    assert run(recipe, "bpe_vocab_sizes=[10, 14]", "-o", out).exit_code == 0
    bpe = json.loads((out / "bpe.json").read_text())
    assert bpe["trained_on"]["vocab_sizes"] == [10, 14]
    assert bpe["trained_on"]["utterances"] == 4, "not of the clips held out"
    tokenizer = codectok.load(str(out))
    trained = UnitBPE.load(out)
    assert trained.vocab_size == 14
    assert trained.tokenizer_fingerprint == tokenizer.fingerprint


def test_imported_centroids(recipe: str, corpus: Path, tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    cluster = pytest.importorskip("sklearn.cluster")
    tokenizer_features = codectok.units.load_encoder("logmel", 0).features(np.zeros(16000, np.float32))
    dim = tokenizer_features.shape[1]
    frames = np.random.default_rng(0).standard_normal((200, dim)).astype(np.float32)
    model = cluster.MiniBatchKMeans(7, n_init=1, random_state=0).fit(frames)
    joblib.dump(model, tmp_path / "km.bin")
    centroids = f"centroids={tmp_path / 'km.bin'}"
    assert "--trust-pickle" in failed(run(recipe, centroids, "-o", tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    result = run(recipe, centroids, "data=", "--trust-pickle", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    tokenizer = codectok.load(str(tmp_path / "out"))
    features = torch.from_numpy(frames)
    assert np.array_equal(tokenizer.units(features)[0].numpy(), model.predict(frames))  # type: ignore[attr-defined]
    np.save(tmp_path / "narrow.npy", np.zeros((3, 4), np.float32))
    message = failed(run(recipe, f"centroids={tmp_path / 'narrow.npy'}", "-o", tmp_path / "x"))
    assert "width 4" in message
    assert str(dim) in message


def test_imported_centroids_are_known_by_their_contents(recipe: str, tmp_path: Path) -> None:
    dim = codectok.units.load_encoder("logmel", 0).features(np.zeros(16000, np.float32)).shape[1]
    file, out = tmp_path / "km.npy", tmp_path / "out"

    def stored() -> np.ndarray:
        return load_file(out / "model.safetensors")["streams.0.centroids.0"]

    np.save(file, np.zeros((3, dim), np.float32))
    args = (recipe, f"centroids={file}", "data=", "-o", out)
    assert run(*args).exit_code == 0
    assert "already there" in run(*args).stdout
    np.save(tmp_path / "copy.npy", np.zeros((3, dim), np.float32))
    assert "already there" in run(recipe, f"centroids={tmp_path / 'copy.npy'}", "data=", "-o", out).stdout
    np.save(file, np.ones((3, dim), np.float32))
    assert "another model" in failed(run(*args))
    assert not stored().any()
    assert run(*args, "--overwrite").exit_code == 0
    assert stored().all()
    file.unlink()
    assert "there is no file" in failed(run(*args))


def test_overwrite_fits_the_same_recipe_again(recipe: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(recipe, "-o", out).exit_code == 0
    before = (out / "model.safetensors").read_bytes()
    (out / "model.safetensors").write_bytes(b"damaged")
    result = run(recipe, "-o", out, "--overwrite")
    assert (result.exit_code, "wrote" in result.stdout) == (0, True)
    assert (out / "model.safetensors").read_bytes() == before


def test_audio_replaced_under_its_name_is_another_corpus(recipe: str, tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "c", [0.5, 0.5, 0.5])
    good = (folder / "clip001.wav").read_bytes()
    (folder / "clip001.wav").write_bytes(b"no audio")
    args = (recipe, f"data={folder}", "--json", "-o", tmp_path / "out")
    assert json.loads(run(*args).stdout)["failed"] == 1
    (folder / "clip001.wav").write_bytes(good)
    assert "another model" in failed(run(*args))
    assert json.loads(run(*args, "--overwrite").stdout)["failed"] == 0


def test_a_finished_fit_says_what_it_lacks(recipe: str, tmp_path: Path) -> None:
    out, dump = tmp_path / "out", f"dump={tmp_path / 'dump'}"
    bpe = "bpe_vocab_sizes=[10, 14]"
    assert "wrote" in run(recipe, "-o", out).stdout
    first = run(recipe, bpe, "-o", out)
    assert "wrote" in first.stdout, "a BPE was"
    again = run(recipe, "bpe_vocab_sizes=[14, 10]", "-o", out, "--json")
    assert json.loads(again.stdout)["written"] is None
    assert f"already there: {out}" in run(recipe, "-o", out).stdout
    before = (out / "bpe.json").read_bytes()
    assert "another BPE" in failed(run(recipe, "bpe_vocab_sizes=[12]", "-o", out))
    assert (out / "bpe.json").read_bytes() == before
    assert "without dump=" in failed(run(recipe, dump, "-o", out))
    result = run(recipe, dump, "bpe_vocab_sizes=[12]", "-o", out, "--overwrite")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "dump" / "dump.json").is_file()
    assert UnitBPE.load(out).vocab_size == 12
    assert "already there" in run(recipe, dump, "bpe_vocab_sizes=[12]", "-o", out).stdout


def test_no_frames_are_too_few_to_standardize(recipe: str, tmp_path: Path) -> None:
    message = failed(run(recipe, "percent=1e-9", "standardize=true", "-o", tmp_path / "out"))
    assert "8 clusters need at least 8 frames, and there are 0" in message


def test_group_lists_its_commands_and_no_others() -> None:
    result = CliRunner().invoke(units, ["--help"])
    listed = [line.split()[0] for line in result.output.split("Commands:")[1].splitlines() if line.strip()]
    assert listed == ["fit", "bpe", "score"]
    for name in listed:
        assert CliRunner().invoke(units, [name, "--help"]).exit_code == 0
