import json

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

import codectok
from codectok.cli.info import file_facts, tokenizer_facts
from codectok.cli.main import main
from codectok.controls import PcmTokenizer, RandomTokenizer

RATE = 16000


def run(*args):
    return CliRunner().invoke(main, [str(a) for a in args])


@pytest.fixture
def clip():
    return (0.3 * np.sin(np.arange(2 * RATE) / 9)).astype(np.float32)


def test_tokenizer():
    result = run("info", "random", "--json")
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["kind"] == "tokenizer"
    assert (facts["name"], facts["sample_rate"], facts["frame_rate"]) == ("random", RATE, 25.0)
    assert facts["codebook_sizes"] == [1024] * 24
    assert facts["bitrates"] == pytest.approx([0.25 * k for k in range(1, 25)])
    assert (facts["causal"], facts["can_decode"], facts["parameters"]) == (True, False, None)
    assert facts["fingerprint"] == RandomTokenizer.fingerprint


def test_tokenizer_as_text():
    text = run("info", "random").stdout
    assert "24 x 1024" in text
    assert RandomTokenizer.fingerprint in text
    assert "25 Hz" in text
    assert "2: 0.5" in text
    assert "parameters" not in text


def test_parameters_are_counted():
    import torch

    tok = PcmTokenizer()
    tok.model = torch.nn.Linear(3, 4)
    assert tokenizer_facts(tok)["parameters"] == 16


def test_codebooks_that_are_not_decoded_are_told_of(tmp_path, clip):
    facts = json.loads(run("info", "speech-1", "--json").stdout)
    assert facts["decoded_codebooks"] == [*range(1, 10), *[9] * 8, *range(18, 25)]
    assert "10 to 17 codebooks decode as 9" in run("info", "speech-1").stdout
    assert "decode as" not in run("info", "speech").stdout
    codectok.write_audio(tmp_path / "a.wav", clip[:4000], RATE)
    line = "Warning: speech-1 with 12 codebooks decodes as with 9: the others cost bits in vain"
    for codebooks, lines in (("9", 0), ("12", 1), ("18", 0)):
        told = run("encode", tmp_path / "a.wav", "-o", tmp_path / f"{codebooks}.ctk", "--tokenizer", "speech-1",
                   "--codebooks", codebooks)  # fmt: skip
        assert told.exit_code == 0
        assert told.stderr.splitlines() == [line] * lines
    speech = codectok.load("speech-1")
    twelve = codectok.Tokens.load(tmp_path / "12.ctk")
    assert np.array_equal(speech.decode(twelve), speech.decode(twelve.first(9)))


def test_file(tmp_path, clip):
    path = tmp_path / "a.ctk"
    tokens = RandomTokenizer().encode(clip, RATE, num_codebooks=3)
    tokens.save(path)
    facts = json.loads(run("info", path, "--json").stdout)
    assert facts["kind"] == "tokens"
    assert (facts["duration"], facts["frames"], facts["codebooks"]) == (2.0, 50, 3)
    assert facts["bitrate"] == pytest.approx(0.75)
    assert facts["actual_bitrate"] == pytest.approx(path.stat().st_size * 8 / 2 / 1000)
    assert facts["fingerprint"] == RandomTokenizer.fingerprint
    assert [u["codebook"] for u in facts["usage"]] == [0, 1, 2]
    assert [u["used"] for u in facts["usage"]] == [len(set(row.tolist())) for row in tokens.codes]
    text = run("info", path).stdout
    assert "kbit/s on disk" in text
    assert "3 x 1024" in text
    assert "runs" not in text


def test_deduplicated_file(tmp_path, clip):
    tokens = PcmTokenizer().encode(np.repeat(clip[:500], 4), RATE).dedup()
    tokens.save(tmp_path / "a.ctk")
    facts = file_facts(tmp_path / "a.ctk")
    assert facts["frames"] == 2000
    assert facts["runs"] == tokens.codes.shape[1] < 2000


def test_store(tmp_path):
    pytest.importorskip("pyarrow")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name in ("a", "b"):
        soundfile.write(corpus / f"{name}.wav", 0.1 * np.ones(RATE), RATE)
    (corpus / "c.wav").write_text("not audio")
    assert run("tokenize", corpus, "-o", tmp_path / "store", "--tokenizer", "random").exit_code == 1
    facts = json.loads(run("info", tmp_path / "store", "--json").stdout)
    assert facts["kind"] == "store"
    assert (facts["items"], facts["failed"]) == (2, 1)
    assert sum(facts["failed_by_kind"].values()) == 1
    assert facts["hours"] == pytest.approx(2 / 3600)
    assert facts["format"] == "parquet"
    assert facts["fingerprint"] == RandomTokenizer.fingerprint
    assert len(facts["usage"]) == 24
    text = run("info", tmp_path / "store").stdout
    assert "parquet" in text


@pytest.mark.parametrize("target", ["no-such-thing", "missing.ctk", "folder", "text.txt", "text.ctk"])
def test_what_is_neither(tmp_path, monkeypatch, target):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("text.txt", "text.ctk"):
        (tmp_path / name).write_text("hello")
    result = run("info", target)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert target in result.stderr
