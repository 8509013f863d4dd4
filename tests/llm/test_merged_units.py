"""Merged units in a language model: from audio to packed ids and back, the same; what does not fit is one line."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import codectok
from codectok.llm import Audio, AudioVocab, Marker, Prompter
from codectok.llm.generate.events import AudioPiece, EventParser
from codectok.llm.pack.card import frames_by_id
from codectok.llm.vocab.unit_frames import UnitReader
from codectok.store import Store, open_store
from codectok.tokenizer import Tokenizer
from codectok.tokens import Tokens
from codectok.transforms.unit_bpe import UnitBPE
from codectok.transforms.unit_transform import UnitTransform
from kmeans_units.bpe import train_bpe
from tests.commands import done, refused, run
from tests.llm.tiny_models import folder as tiny_model

pytest.importorskip("transformers")
pq = pytest.importorskip("pyarrow.parquet")
ARMS = {
    "units": (["--tokenizer", "units"], ["--dedup", "--bpe"]),
    "units-runs": (["--tokenizer", "units"], ["--dedup"]),
    "one": (["--tokenizer", "speech", "--codebooks", "1"], ["--bpe", "one.json"]),
    "flat": (["--tokenizer", "speech", "--codebooks", "4"], ["--bpe", "flat.json"]),
}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of frames, and for each arm the store with its transform, the extended model and the dataset."""
    root = tmp_path_factory.mktemp("merged")
    (root / "wav").mkdir()
    for i in range(5):
        rng = np.random.default_rng(i)
        tone = np.sin(np.cumsum(rng.uniform(0.01, 0.4, 40).repeat(500))) * rng.uniform(0.1, 0.6, 40).repeat(500)
        soundfile.write(root / "wav" / f"{i}.wav", tone + rng.normal(0, 0.01, 20000), 16000)
    tiny_model(root / "text", "llama", padding=0)
    for name, k in (("one", 1), ("flat", 4)):
        done(
            "tokenize",
            root / "wav",
            "-o",
            root / f"f-{name}",
            "--tokenizer",
            "speech",
            "--codebooks",
            k,
            "--workers",
            1,
        )
        symbols = sum(open_store(root / f"f-{name}").info.codebook_sizes)
        made = ["units", "bpe", root / f"f-{name}", "-o", root / f"{name}.json", "--min-frequency", 1]
        done(*made, "--vocab-size", symbols + 40, "--no-dedup")
    for name, (tokenizer, steps) in ARMS.items():
        given = [root / s if s.endswith(".json") else s for s in steps]
        done("tokenize", root / "wav", "-o", root / f"s-{name}", *tokenizer, *given, "--workers", 1)
        done("llm", "extend", root / "text", "-o", root / f"m-{name}", *tokenizer, *given)
        done(
            "llm",
            "pack",
            root / f"s-{name}",
            "-o",
            root / f"d-{name}",
            "--model",
            root / f"m-{name}",
            "--task",
            "speech",
        )
    return root


def packed(dataset: Path) -> dict[str, np.ndarray]:
    """Ids of each item."""
    found: dict[str, np.ndarray] = {}
    for file in sorted((dataset / "data").glob("*.parquet")):
        for row in pq.read_table(file).to_pylist():
            ids, owners = np.array(row["input_ids"]), np.array(row["sequence_ids"])
            found |= {name: ids[owners == i] for i, name in enumerate(row["ids"])}
    return found


def parts(work: Path, arm: str) -> tuple[Store, AudioVocab, Tokenizer]:
    vocab = AudioVocab.load(work / f"m-{arm}")
    return open_store(work / f"s-{arm}"), vocab, codectok.load("units" if "units" in arm else "speech")


@pytest.mark.parametrize("arm", ARMS)
def test_audio_to_packed_ids_and_back(work: Path, arm: str) -> None:
    store, vocab, tok = parts(work, arm)
    sequences = packed(work / f"d-{arm}")
    assert len(sequences) == len(store) == 5
    for key, tokens in store:
        audio = codectok.read_audio(work / "wav" / f"{key.removesuffix('.wav')}.wav")
        frames = tok.encode(*audio, num_codebooks=len(vocab.unit_sizes)).codes
        runs = None if tokens.durations is None else tokens.durations.numpy()
        assert torch.equal(vocab.to_tokens(sequences[key], tok, runs).codes, frames)
        alone = Prompter(*_text(work, vocab)).encode([Marker("begin"), Audio(frames), Marker("end")]).ids
        assert alone.tolist() == [i for i in sequences[key].tolist() if vocab.owns(np.array([i]))[0]]
        assert len(alone) - 2 < frames.numel()


@pytest.mark.parametrize("arm", ARMS)
def test_the_card_says_hours(work: Path, arm: str) -> None:
    card = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", (work / f"d-{arm}" / "README.md").read_text(), flags=re.M))
    hours = sum(tokens.num_frames / float(tokens.frame_rate) for _, tokens in open_store(work / f"s-{arm}")) / 3600
    told = {name: float(value) for name, value in card.items() if name.startswith("hours")}
    if arm.startswith("units"):  # nothing there says how long a run is
        assert not told
    else:
        assert told == {"hours of audio": pytest.approx(hours, rel=1e-3)}


def test_ids_of_merged_runs_stand_for_their_mean_lengths() -> None:
    """Summed over what the means were taken from, they are its frames exactly."""
    codes = np.repeat(np.random.default_rng(0).integers(0, 5, 400), np.random.default_rng(1).integers(1, 5, 400))
    tokens = Tokens(torch.from_numpy(codes)[None], len(codes) * 320, 16000, Fraction(50), (5,), "f" * 32)
    bpe = train_bpe([tokens], 15)
    steps = UnitTransform.of(tokens.fingerprint, (5,), dedup=True, bpe=bpe, durations=False)
    frames = frames_by_id(AudioVocab.create(steps.sizes, 50, tokenizer_fingerprint="f" * 32, transform=steps))
    assert frames is not None
    assert frames[bpe.encode(tokens).ids.numpy()].sum() == pytest.approx(len(codes))


@pytest.mark.parametrize("arm", ARMS)
def test_what_is_said_is_heard_at_its_length(work: Path, arm: str) -> None:
    store, vocab, tok = parts(work, arm)
    for key, ids in packed(work / f"d-{arm}").items():
        frames = vocab.to_tokens(ids, tok).codes
        parser = EventParser(vocab, None, tok)
        found = [e for i in ids for e in parser.push([int(i)])] + parser.finish()
        sound = [e for e in found if isinstance(e, AudioPiece)]
        assert torch.equal(torch.cat([e.codes for e in sound], 1), frames)
        assert parser.dropped == 0
        samples = sum(len(e.samples) for e in sound if e.samples is not None)
        assert samples == int(frames.shape[1] * tok.sample_rate / tok.frame_rate)
        if not vocab.transform or not vocab.transform.dedup:
            assert frames.shape[1] == store[key].num_frames
        short = EventParser(vocab, None, tok, max_frames=3)
        heard = [e for e in [*short.push(ids.tolist()), *short.finish()] if isinstance(e, AudioPiece)]
        assert sum(e.codes.shape[1] for e in heard) == 3
        assert short.full


def test_what_a_model_says_wrong_costs_its_frame(work: Path) -> None:
    _, vocab, _ = parts(work, "flat")
    reader, rng = UnitReader(vocab), np.random.default_rng(0)
    said = torch.from_numpy(rng.integers(0, vocab.codebook_sizes[0], (1, 400)))
    frames = torch.cat([reader.push(said[:, a : a + 9]) for a in range(0, 400, 9)], 1)
    assert torch.equal(UnitReader(vocab).push(said), frames)
    assert bool((frames < torch.tensor(vocab.unit_sizes)[:, None]).all())


@pytest.mark.parametrize("arm", ["units", "flat"])
def test_generate(work: Path, tmp_path: Path, arm: str) -> None:
    out = tmp_path / "a.wav"
    said = ["llm", "generate", work / f"m-{arm}", "--audio", work / "wav" / "0.wav", "--max-tokens", 60]
    done(*said, "-o", out, "--temperature", 1, "--seed", 1, "--max-seconds", 0.4)
    samples, rate = soundfile.read(out)
    tok = parts(work, arm)[2]
    assert rate == tok.sample_rate
    assert 0 < len(samples) <= 0.4 * rate


def test_train_keeps_the_transform(work: Path, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("stages: [{trainable: new-rows, steps: 2, learning_rate: 1e-3}]\nbatch: 1\n")
    done("llm", "train", work / "d-units", work / "m-units", tmp_path / "s.yaml", "-o", tmp_path / "out")
    assert AudioVocab.load(tmp_path / "out") == AudioVocab.load(work / "m-units")
    assert UnitBPE.load(tmp_path / "out").fingerprint == UnitBPE.load(work / "m-units").fingerprint
    told = json.loads((work / "d-units" / "pack.json").read_text())["transform"]
    assert told == AudioVocab.load(work / "m-units").to_dict()["transform"]
    assert "lengths left out" in json.loads((work / "m-units" / "extend_report.json").read_text())["units"]


def test_every_wrong_pair_is_one_line(work: Path, tmp_path: Path) -> None:
    def pack(store: str | Path, model: str) -> str:
        return refused("llm", "pack", work / store, "-o", tmp_path / "d", "--model", work / model, "--task", "speech")

    text, out = work / "text", tmp_path / "m"
    assert "codebooks of" in pack("s-one", "m-flat")
    UnitBPE.load(work / "one.json").truncate(1030).save(tmp_path / "other.json")
    done("convert", work / "f-one", "-o", tmp_path / "s-other", "--bpe", tmp_path / "other.json")
    assert "the vocabulary is of BPE" in pack(tmp_path / "s-other", "m-one")
    assert "codebooks of" in pack("f-one", "m-flat")
    assert "is of tokenizer" in pack("s-one", "m-units")
    assert "not of BPE ids" in pack("s-units", "m-units-runs")
    done("llm", "extend", text, "-o", tmp_path / "frames", "--tokenizer", "speech", "--codebooks", 1)
    assert "--no-bpe" in refused("llm", "pack", work / "s-one", "-o", tmp_path / "d", "--model", tmp_path / "frames",
                                 "--task", "speech")  # fmt: skip
    extend = ["llm", "extend", text, "-o", out, "--tokenizer"]
    assert "add --dedup" in refused(*extend, "units", "--bpe")
    assert "codectok units bpe" in refused(*extend, "units", "--bpe", work / "one.json")
    assert "leave out --dedup" in refused(*extend, "speech", "--bpe", work / "one.json", "--dedup")
    assert "mean+noise" in refused(*extend, "speech", "--bpe", work / "one.json", "--init", "codebook")
    (tmp_path / "s.yaml").write_text("stages: [{trainable: all, steps: 1, learning_rate: 1e-3}]\n")
    train = ["llm", "train", work / "d-one", work / "m-flat", tmp_path / "s.yaml", "-o", tmp_path / "t"]
    assert "vocabulary" in refused(*train)
    assert not out.exists()


def test_runs_are_undone_for_a_model_of_frames(work: Path, tmp_path: Path) -> None:
    """It generates frames, so it is trained on frames: merged, they came out as 0.90 of 1.42 s."""
    done("llm", "extend", work / "text", "-o", tmp_path / "plain", "--tokenizer", "units")
    pack = ["llm", "pack", work / "s-units-runs", "-o", tmp_path / "d", "--model", tmp_path / "plain"]
    said = run(*pack, "--task", "speech")
    assert said.exit_code == 0
    assert said.stderr.count("they are undone; a model of codectok llm extend --dedup says them merged") == 1
    vocab, tok = AudioVocab.load(tmp_path / "plain"), codectok.load("units")
    ids = packed(tmp_path / "d")
    for key, tokens in open_store(work / "s-units-runs"):
        assert torch.equal(vocab.to_tokens(ids[key], tok).codes, tokens.expand().codes)


def test_frames_are_merged_while_they_are_packed(work: Path, tmp_path: Path) -> None:
    """A store of plain codes, packed for a model of merged ones: the same dataset as of a store of merged ones."""
    args = ["--model", work / "m-flat", "--task", "speech"]
    done("llm", "pack", work / "f-flat", "-o", tmp_path / "d", *args)
    done("convert", work / "s-flat", "-o", tmp_path / "lines", "--format", "jsonl")
    done("llm", "pack", tmp_path / "lines", "-o", tmp_path / "e", *args)
    theirs = packed(work / "d-flat")
    for dataset in ("d", "e"):
        ours = packed(tmp_path / dataset)
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[key], theirs[key]) for key in ours)


def test_a_model_folder_needs_its_own_bpe(work: Path, tmp_path: Path) -> None:
    for file in (work / "m-one").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "bpe.json").write_bytes((work / "flat.json").read_bytes())
    assert "is needed" in refused("llm", "generate", tmp_path, "--prompt", "the")
    (tmp_path / "bpe.json").unlink()
    assert "has no bpe.json" in refused("llm", "generate", tmp_path, "--prompt", "the")


def _text(work: Path, vocab: AudioVocab) -> tuple[object, AudioVocab]:
    from codectok.llm.model.folder import open_text_tokenizer

    name = next(p.parent for p in work.glob("m-*/audio_vocab.json") if AudioVocab.load(p.parent) == vocab)
    return open_text_tokenizer(str(name)), vocab


def test_scores_of_merged_units(work: Path, tmp_path: Path) -> None:
    scored = ["llm", "score", work / "m-units", "--audio", work / "wav" / "0.wav", "-o", tmp_path / "scores.json"]
    done(*scored)
    assert json.loads((tmp_path / "scores.json").read_text())
