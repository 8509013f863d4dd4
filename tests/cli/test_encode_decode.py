import errno
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from codectok import Tokens
from codectok.cli import streams
from codectok.cli.main import main
from codectok.cli.paths import plan
from codectok.controls import PcmTokenizer, RandomTokenizer
from codectok.tokenizer import Tokenizer

RATE = 16000
PCM = ("--tokenizer", "pcm")


def run(*args):
    return CliRunner().invoke(main, [str(a) for a in args])


def write_clip(path, seconds=0.5, rate=RATE, subtype=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, 0.4 * np.sin(2 * np.pi * 220 * t), rate, subtype=subtype)
    return path


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


class Whole(Tokenizer):
    """Not causal: 100 frames a second, two codebooks of 16; decodes to a ramp."""

    name, sample_rate, frame_rate, fingerprint, feature_dim = "whole", RATE, Fraction(100), "whole", 1
    codebook_sizes = (16, 16)

    def num_frames(self, num_samples):
        return -(-num_samples // 160)

    def _encode(self, clips, num_codebooks):
        return [torch.arange(self.num_frames(len(c))).repeat(num_codebooks, 1) % 16 for c in clips]

    def _features(self, clips):
        return [torch.zeros(self.num_frames(len(c)), 1) for c in clips]

    def _decode(self, codes, num_samples):
        return [np.linspace(-0.5, 0.5, n, dtype=np.float32) for n in num_samples]


@pytest.fixture
def whole(monkeypatch):
    monkeypatch.setattr("codectok.opening.open_named", lambda name, device="cpu": Whole())


# -- round trips -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [RATE, 8000, 44100])
def test_round_trip_of_a_file(tmp_path, rate):
    wav = write_clip(tmp_path / "a.wav", seconds=3.3, rate=rate)
    result = run("encode", wav, "-o", tmp_path / "a.ctk", *PCM)
    assert result.exit_code == 0, result.stderr
    assert str(tmp_path / "a.ctk") in result.stdout
    tokens, tok = Tokens.load(tmp_path / "a.ctk"), PcmTokenizer()
    assert tokens == tok.encode(wav)
    result = run("decode", tmp_path / "a.ctk", "-o", tmp_path / "b.wav", *PCM)
    assert result.exit_code == 0, result.stderr
    samples, got = soundfile.read(tmp_path / "b.wav", dtype="float32")
    assert got == RATE
    assert len(samples) == round(3.3 * RATE)
    assert np.abs(samples - tok.decode(tokens)).max() < 1e-4


def test_round_trip_of_a_folder_keeps_paths(tmp_path):
    for name in ("x/a.wav", "x/deep/b.flac", "y/a.wav", "x/.hidden.wav", ".git/c.wav"):
        write_clip(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("not audio")
    assert run("encode", tmp_path / "in", "-o", tmp_path / "tok", *PCM).exit_code == 0
    assert names(tmp_path / "tok") == ["x/a.ctk", "x/deep/b.ctk", "y/a.ctk"]
    assert run("decode", tmp_path / "tok", "-o", tmp_path / "out", "--format", "flac", *PCM).exit_code == 0
    assert names(tmp_path / "out") == ["x/a.flac", "x/deep/b.flac", "y/a.flac"]


def test_tokenizer_that_is_not_causal(tmp_path, whole):
    wav = write_clip(tmp_path / "a.wav")
    assert run("encode", wav, "-o", tmp_path, "--bitrate", 0.4).exit_code == 0
    assert Tokens.load(tmp_path / "a.ctk").num_codebooks == 1
    assert run("decode", tmp_path / "a.ctk", "-o", tmp_path / "out").exit_code == 0
    assert len(soundfile.read(tmp_path / "out" / "a.wav")[0]) == 8000


def test_codebooks_and_bitrate_choose_prefixes(tmp_path):
    wav = write_clip(tmp_path / "a.wav")
    full = RandomTokenizer().encode(wav)
    for option, k in ((("--codebooks", 3), 3), (("--bitrate", 1.5), 6), ((), 24)):
        out = tmp_path / f"{k}.ctk"
        assert run("encode", wav, "-o", out, "--tokenizer", "random", *option).exit_code == 0
        assert Tokens.load(out) == full.first(k)


def test_json(tmp_path):
    wav = write_clip(tmp_path / "a.wav", seconds=2.0)
    figures = json.loads(run("encode", wav, "-o", tmp_path / "t", *PCM, "--json").stdout)
    assert figures["written"] == [str(tmp_path / "t" / "a.ctk")]
    assert (figures["files"], figures["seconds"], figures["failed"]) == (1, 2.0, [])
    assert figures["token_rate"] == 16000
    assert figures["bitrate"] == pytest.approx(128)
    assert figures["actual_bitrate"] == pytest.approx((tmp_path / "t" / "a.ctk").stat().st_size * 8 / 2000)
    figures = json.loads(run("decode", tmp_path / "t", "-o", tmp_path / "w", *PCM, "--json").stdout)
    assert (figures["seconds"], figures["token_rate"]) == (2.0, 16000)
    other = (tmp_path / "t" / "a.ctk").rename(tmp_path / "a.tokens")
    figures = json.loads(run("decode", other, "-o", tmp_path / "v", *PCM, "--json").stdout)
    assert figures["actual_bitrate"] == pytest.approx(other.stat().st_size * 8 / 2000)


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def bad(tmp_path):
    """A folder of files that cannot be encoded."""
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "text.wav").write_text("this is not audio\n")
    (folder / "empty.wav").write_bytes(b"")
    write_clip(folder / "cut.flac").write_bytes(b"fLaC")
    soundfile.write(folder / "none.wav", np.zeros(0), RATE)
    samples = np.full(4000, 0.1, np.float32)
    samples[2000] = np.nan
    soundfile.write(folder / "nan.wav", samples, RATE, subtype="FLOAT")
    return folder


def test_bad_files_among_good_ones(tmp_path, bad):
    write_clip(bad / "good.wav")
    result = run("encode", bad, tmp_path / "missing.wav", "-o", tmp_path / "out", *PCM)
    assert result.exit_code == 1
    assert names(tmp_path / "out") == ["good.ctk"]
    lines = result.stderr.splitlines()
    assert len(lines) == 6
    for name in ("text.wav", "empty.wav", "cut.flac", "none.wav", "nan.wav", "missing.wav"):
        assert sum(name in line.split(": ")[1] for line in lines) == 1
    assert "Traceback" not in result.stderr


def test_only_bad_files_exit_2(tmp_path, bad):
    result = run("encode", bad, "-o", tmp_path / "out", *PCM, "--json")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert report["written"] == []
    assert len(report["failed"]) == 5
    assert not names(tmp_path / "out")


def test_damaged_tokens_among_good_ones(tmp_path):
    wav = write_clip(tmp_path / "a.wav", seconds=5.0)
    for name in ("good", "flipped", "cut"):
        assert run("encode", wav, "-o", tmp_path / "t" / f"{name}.ctk", *PCM).exit_code == 0
    data = bytearray((tmp_path / "t" / "good.ctk").read_bytes())
    (tmp_path / "t" / "cut.ctk").write_bytes(data[: len(data) // 2])
    data[len(data) * 3 // 4] ^= 1
    (tmp_path / "t" / "flipped.ctk").write_bytes(data)
    (tmp_path / "t" / "text.ctk").write_text("not tokens")
    result = run("decode", tmp_path / "t", "-o", tmp_path / "out", *PCM)
    assert result.exit_code == 1
    assert names(tmp_path / "out") == ["good.wav"]
    assert len(result.stderr.splitlines()) == 3


def test_tokens_of_another_tokenizer(tmp_path):
    tokens = PcmTokenizer().encode(np.zeros(1000, np.float32) + 0.1, RATE)
    replace(tokens, fingerprint="0" * 32).save(tmp_path / "a.ctk")
    result = run("decode", tmp_path / "a.ctk", "-o", tmp_path / "out", *PCM)
    assert result.exit_code == 2
    assert "0" * 32 in result.stderr
    assert "pcm" in result.stderr
    assert not names(tmp_path / "out")


def test_tokenizer_that_cannot_decode(tmp_path):
    assert run("encode", write_clip(tmp_path / "a.wav"), "-o", tmp_path, "--tokenizer", "random").exit_code == 0
    result = run("decode", tmp_path / "a.ctk", "-o", tmp_path / "out", "--tokenizer", "random")
    assert result.exit_code == 2
    assert "cannot decode" in result.stderr


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--tokenizer", "no-such-tokenizer"), "no-such-tokenizer"),
        ((*PCM, "--codebooks", 2), "1 codebooks"),
        ((*PCM, "--bitrate", 1.0), "128"),
        ((*PCM, "--codebooks", 1, "--bitrate", 200), "not both"),
        ((*PCM, "--codebooks", 0), "0"),
    ],
)
def test_wrong_options_are_one_line(tmp_path, options, word):
    result = run("encode", write_clip(tmp_path / "a.wav"), "-o", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert word in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


FULL = "cannot write a.ctk (no space left on device): free some space and run the same command again"


def test_full_disk_stops_with_one_line(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device", "a.ctk")

    monkeypatch.setattr(streams, "encode_file", full)
    result = run("encode", write_clip(tmp_path / "a.wav"), "-o", tmp_path / "out", *PCM)
    assert (result.exit_code, result.stderr) == (2, f"Error: {FULL}\n")


# -- which files -------------------------------------------------------------------------------------------------------


def planned(inputs, out, overwrite=False):
    jobs = plan(
        [str(i) for i in inputs], str(out), take=(".wav", ".flac"), suffix=".ctk", file_suffixes=(".ctk",),
        overwrite=overwrite,
    )  # fmt: skip
    return [(job.source, job.target) for job in jobs]


def test_plan(tmp_path):
    a, out = write_clip(tmp_path / "d" / "a.WAV"), tmp_path / "out"
    odd = write_clip(tmp_path / "utt.1.wav").rename(tmp_path / "utt.1")
    assert planned([a], out / "x.ctk") == [(a, out / "x.ctk")]
    assert planned([a], out) == [(a, out / "a.ctk")]
    assert planned([tmp_path / "d"], out) == [(a, out / "a.ctk")]
    assert planned([tmp_path], out) == [(a, out / "d" / "a.ctk")]
    assert planned([odd], out) == [(odd, out / "utt.1.ctk")]
    (tmp_path / "folder.ctk").mkdir()
    assert planned([a], tmp_path / "folder.ctk") == [(a, tmp_path / "folder.ctk" / "a.ctk")]


@pytest.mark.parametrize("pair", [("x/a.wav", "y/a.wav"), ("a.wav", "a.flac"), ("a.wav", "A.wav")])
def test_collisions_are_refused_before_anything_is_written(tmp_path, pair):
    files = [write_clip(tmp_path / name) for name in pair]
    result = run("encode", *files, "-o", tmp_path / "out", *PCM)
    assert result.exit_code == 2
    assert "would both be written" in result.stderr
    assert all(str(Path(f)) in result.stderr for f in files)
    assert not (tmp_path / "out").exists()


def test_what_exists_is_kept(tmp_path):
    """Decoding beside the originals must not replace them."""
    wav = write_clip(tmp_path / "a.wav")
    before = wav.read_bytes()
    assert run("encode", wav, "-o", tmp_path, *PCM).exit_code == 0
    result = run("decode", tmp_path / "a.ctk", "-o", tmp_path, *PCM)
    assert result.exit_code == 2
    assert "--overwrite" in result.stderr
    assert wav.read_bytes() == before
    assert run("encode", wav, "-o", tmp_path, *PCM, "--overwrite").exit_code == 0


def test_refused_outputs(tmp_path):
    a, b = write_clip(tmp_path / "a.wav"), write_clip(tmp_path / "b.wav")
    (tmp_path / "empty").mkdir()
    for inputs, out, word in (
        ([a, b], tmp_path / "x.ctk", "give a folder"),
        ([tmp_path], tmp_path / "x.ctk", "give a folder"),
        ([a], b, "is a file"),
        ([tmp_path / "empty"], tmp_path / "out", "no .flac .wav files"),
        ([a, a], tmp_path / "out", "would both be written"),
    ):
        with pytest.raises(click.UsageError, match=word):
            planned(inputs, out)
    link = tmp_path / "link.wav"
    link.symlink_to(a)
    with pytest.raises(click.UsageError, match="is an input"):
        plan([str(a)], str(link), take=(".wav",), suffix=".ctk", file_suffixes=(".wav",), overwrite=True)


def test_format_and_suffix_must_agree(tmp_path):
    result = run("decode", tmp_path / "a.ctk", "-o", tmp_path / "a.wav", "--format", "flac", *PCM)
    assert result.exit_code == 2
    assert "differ" in result.stderr


def test_missing_inputs(tmp_path):
    for command, name in (("encode", "a.wav"), ("decode", "a.ctk")):
        result = run(command, tmp_path / name, "-o", tmp_path / "out", *PCM)
        assert result.exit_code == 2
        assert name in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_an_output_named_as_a_file_of_another_kind_is_refused(tmp_path):
    write_clip(tmp_path / "a.wav")
    result = run("encode", tmp_path / "a.wav", "-o", tmp_path / "b.wav", *PCM)
    assert result.exit_code == 2
    assert "a name ending in .ctk" in result.stderr
    assert run("encode", tmp_path / "a.wav", "-o", tmp_path / "a.ctk", *PCM).exit_code == 0
    result = run("decode", tmp_path / "a.ctk", "-o", tmp_path / "b.mp3", *PCM)
    assert result.exit_code == 2
    assert "a name ending in .wav or .flac" in result.stderr
    assert names(tmp_path) == ["a.ctk", "a.wav"]
