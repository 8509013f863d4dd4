"""``codectok tokenize``: what it prints, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from codectok.cli.tokenize import tokenize
from codectok.store import open_store
from tests.corpus.energy import EnergyTokenizer, spoil


def invoke(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> Result:
    monkeypatch.setattr("codectok.opening.open_named", lambda name, device="cpu": EnergyTokenizer())
    return CliRunner().invoke(tokenize, [str(a) for a in arguments])


def test_command_all_good(audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = invoke(monkeypatch, audio, "-o", tmp_path / "s", "--codebooks", 1, "--dedup", "--format", "jsonl")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert f"wrote {tmp_path / 's'}" in result.stdout
    assert "x real time" in result.stdout
    assert open_store(tmp_path / "s").info.codebook_sizes == (16,)


def test_command_with_bad_files(audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(audio)
    for i in range(20):
        (audio / f"bad{i:02}.wav").touch()
    result = invoke(monkeypatch, audio, "-o", tmp_path / "s", "--json", "--shard-size", 4, "--workers", 2)
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert lines[0].startswith("failed: a2: AudioError: ")
    assert len(lines) == 21
    assert lines[-1] == f"failed: 5 more, see {tmp_path / 's' / 'errors.jsonl'}"
    figures = json.loads(result.stdout)
    assert (figures["items"], figures["failed"]) == (9, 25)
    assert figures["bitrate_kbps"] == pytest.approx(0.7)


def test_command_usage_errors(audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "used").mkdir()
    (tmp_path / "used/file").touch()
    out = tmp_path / "s"
    for arguments, message in (
        ([tmp_path / "gone", "-o", out], "there is no corpus"),
        ([tmp_path / "nothing", "-o", out], "no audio files"),
        ([audio, "-o", out, "--codebooks", 3], "has 2 codebooks"),
        ([audio, "-o", out, "--format", "fairseq"], "--codebooks 1"),
        ([audio, "-o", tmp_path / "used"], "choose another folder"),
    ):
        result = invoke(monkeypatch, *arguments)
        assert result.exit_code == 2, result.output
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert not out.exists()
