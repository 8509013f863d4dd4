"""``codectok units bpe``: one pass, several vocabularies, a table; nothing written where something is wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from codectok.transforms.code_orders import PATTERNS
from codectok.transforms.unit_bpe import UnitBPE
from kmeans_units import bpe_cli
from kmeans_units.bpe_cli import bpe, read_tokens
from tests.units.test_bpe import MARK, some_tokens


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ctk").mkdir()
    for i, tokens in enumerate(some_tokens((9, 4), count=25)):
        tokens.save(tmp_path / "ctk" / f"{i}.ctk")
    return tmp_path


def run(*args: object) -> Result:
    return CliRunner().invoke(bpe, [str(a) for a in args])


def test_table_and_file(folder: Path) -> None:
    result = run(folder / "ctk", "--vocab-size", 40, "--vocab-size", 20, "--codebooks", 1, "-o", folder / "m", "--json")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    trained = UnitBPE.load(folder / "m")
    assert trained.vocab_size == 40
    assert shown["fingerprint"] == trained.fingerprint
    assert trained.trained_on["vocab_sizes"] == [20, 40]
    assert trained.trained_on["inputs"] == ["ctk"]
    every = [t.first(1) for t in read_tokens((folder / "ctk",))]
    tokens = [every[9], every[19]]  # every tenth is not trained on, and measured on
    assert shown["measured"] == {"utterances": 2, "trained_on": False}
    assert shown["utterances"] == 23
    seconds = sum(t.duration for t in tokens)
    rows = {row["units"]: row for row in shown["table"]}
    assert list(rows) == ["frames", "deduplicated", "BPE 20", "BPE 40"]
    assert rows["frames"]["tokens/s"] == pytest.approx(sum(t.num_frames for t in tokens) / seconds)
    assert rows["deduplicated"]["tokens/s"] == pytest.approx(sum(t.dedup().codes.shape[1] for t in tokens) / seconds)
    ids = sum(len(m) for m in trained.truncate(20).encode_batch(tokens))
    assert rows["BPE 20"]["tokens/s"] == pytest.approx(ids / seconds)
    assert rows["BPE 20"]["bits/s"] == pytest.approx(ids / seconds * math.log2(20))
    assert rows["BPE 40"]["compression"] == pytest.approx(rows["frames"]["tokens/s"] / rows["BPE 40"]["tokens/s"])
    assert rows["frames"]["compression"] == 1
    assert all(0 < row["entropy bits/s"] <= row["bits/s"] for row in rows.values())


def test_a_file_and_other_utterances(folder: Path) -> None:
    some_tokens((9,), seed=5, count=1)[0].save(folder / "other.ctk")
    args = [folder / "ctk", "--vocab-size", 20, "--codebooks", 1, "-o", folder / "here" / "mine.json"]
    result = run(*args, "--test", folder / "other.ctk", "--json")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert (shown["utterances"], shown["measured"]["utterances"]) == (25, 1)
    trained = UnitBPE.load(folder / "here" / "mine.json")
    assert trained.fingerprint == shown["fingerprint"]
    assert trained.mean_durations is not None
    assert run(*args).exit_code == 2
    assert [p.name for p in (folder / "here").iterdir()] == ["mine.json"]


def test_several_codebooks_and_the_terminal(folder: Path) -> None:
    result = run(folder / "ctk" / "0.ctk", folder / "ctk" / "1.ctk", "--vocab-size", 15, "-o", folder / "m")
    assert result.exit_code == 0, result.output
    assert "BPE 15" in result.output
    assert "deduplicated" not in result.output
    trained = UnitBPE.load(folder / "m")
    assert (trained.pattern, trained.dedup, trained.codebook_sizes) == ("flatten", False, (9, 4))


def test_stores_are_read(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import numpy as np
    import soundfile

    from codectok.cli.main import main

    (tmp_path / "wav").mkdir()
    for i in range(3):
        soundfile.write(tmp_path / "wav" / f"{i}.wav", np.random.default_rng(i).uniform(-0.5, 0.5, 16000), 16000)
    store = str(tmp_path / "store")
    command = ["tokenize", str(tmp_path / "wav"), "-o", store, "--tokenizer", "pcm", "--dedup"]
    assert CliRunner().invoke(main, command).exit_code == 0
    result = run(store, "--vocab-size", 300, "-o", tmp_path / "m")
    assert result.exit_code == 0, result.output
    trained = UnitBPE.load(tmp_path / "m")
    assert trained.trained_on["utterances"] == 3


def test_what_is_there_is_kept(folder: Path) -> None:
    args = [folder / "ctk", "--vocab-size", 20, "--codebooks", 1, "-o", folder / "m"]
    assert run(*args).exit_code == 0
    before = (folder / "m" / "bpe.json").read_bytes()
    result = run(*args)
    assert result.exit_code == 2
    assert "--overwrite" in result.output
    assert (folder / "m" / "bpe.json").read_bytes() == before
    assert run(*args, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--vocab-size", "100000"], "at most, 100000 asked for"),
        (["--vocab-size", "5"], "no room"),
        (["--vocab-size", "20", "--codebooks", "3"], "3 codebooks asked for"),
        (["--vocab-size", "20", "--pattern", "single"], "--codebooks 1"),
    ],
)
def test_errors_write_nothing(folder: Path, args: list[str], message: str) -> None:
    result = run(folder / "ctk", *args, "-o", folder / "m")
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not (folder / "m").exists()


def test_another_tokenizers_folder_is_refused(folder: Path) -> None:
    (folder / "m").mkdir()
    (folder / "m" / "config.json").write_text(json.dumps({"fingerprint": "f" * 32}))
    args = [folder / "ctk", "--vocab-size", 20, "--codebooks", 1, "-o", folder / "m"]
    result = run(*args)
    assert result.exit_code == 2
    assert "choose another -o" in result.output
    (folder / "m" / "config.json").write_text(json.dumps({"fingerprint": MARK}))
    assert run(*args).exit_code == 0


def test_patterns_of_the_option_are_all() -> None:
    assert bpe_cli.PATTERNS == PATTERNS


def test_a_path_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    result = run(tmp_path / "none", "--vocab-size", 20, "-o", tmp_path / "m")
    assert result.exit_code == 2
    assert f"there is no {tmp_path / 'none'}: give a token store, .ctk files or a folder of them" in result.stderr
    assert not (tmp_path / "m").exists()
