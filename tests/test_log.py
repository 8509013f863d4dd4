"""The logger: silent by default, shown by commands with -v, in worker processes too."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from codectok.audio import write_audio
from codectok.cli.console import handle_errors
from codectok.cli.help import command
from codectok.cli.tokenize import tokenize
from codectok.cli.verbosity import is_quiet
from codectok.log import LEVEL, logger, shown
from codectok.store.writer import StoreWriter
from kmeans_units.sample_run import SampleRun

ROOT = Path(__file__).resolve().parents[1]


def test_it_is_silent_unless_asked(capfd: pytest.CaptureFixture[str]) -> None:
    log = logger("train_codec.loop")
    assert log.name == "codectok.train_codec.loop"
    assert logger("codectok.opening").name == "codectok.opening"
    log.warning("nobody hears this")
    assert capfd.readouterr() == ("", "")
    lines: list[str] = []
    with shown(logging.INFO, lines.append):
        log.info("on the\nway to %s", "there")
        log.warning("mended")
        log.debug("nobody asked")
    log.info("after")
    assert lines == ["on the way to there", "Warning: mended"]


def test_one_inside_another_ends_where_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LEVEL, raising=False)
    with shown(logging.INFO, print):
        with shown(logging.ERROR, print):
            assert os.environ[LEVEL] == str(logging.ERROR)
        assert os.environ[LEVEL] == str(logging.INFO)
    assert LEVEL not in os.environ


def test_workers_write_what_the_main_process_shows() -> None:
    code = """
import logging
from codectok.log import shown
from codectok.processes import map_ahead
from tests.processes.functions import log_item

if __name__ == "__main__":
    with shown(logging.INFO, print):
        list(map_ahead(log_item, [1, 2], 2))
    list(map_ahead(log_item, [3, 4], 2))
"""  # a process of its own: where workers write was settled with the first worker
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert sorted(done.stderr.splitlines()) == ["item 1", "item 2"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in "abc":
        write_audio(tmp_path / "corpus" / f"{name}.wav", rng.uniform(-0.1, 0.1, 1600), 16000)
    return tmp_path / "corpus"


def test_resumed_shards_are_told_of(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: StoreWriter, stats: object) -> None:
        raise OSError("no space left")

    args = [str(corpus), "-o", str(tmp_path / "s"), "--tokenizer", "pcm", "--shard-size", "1", "--workers", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, "close", full)
        assert "no space left" in CliRunner().invoke(tokenize, args).stderr
    assert "3 shards of" in CliRunner().invoke(tokenize, [*args, "-v"]).stderr
    assert CliRunner().invoke(tokenize, args).stderr == ""


def test_a_command_says_more_with_v_and_less_with_q(recwarn: pytest.WarningsRecorder) -> None:
    @command()
    @handle_errors
    def work() -> None:
        """Work."""
        logger("codectok.work").info("info")
        logger("codectok.work").warning("mended")
        logger("codectok.work").error("broken")
        warnings.warn("of Python", UserWarning, stacklevel=1)
        click.echo(f"quiet: {is_quiet()}")

    def run(*args: str) -> tuple[int, str, list[str]]:
        done = CliRunner().invoke(work, args)
        return done.exit_code, done.stdout, done.stderr.splitlines()

    warnings.simplefilter("always")
    assert run() == (0, "quiet: False\n", ["Warning: mended", "Error: broken"])
    assert run("-v") == (0, "quiet: False\n", ["info", "Warning: mended", "Error: broken"])
    assert [str(w.message) for w in recwarn.list] == ["of Python"] * 2
    assert run("-q") == (0, "quiet: True\n", ["Error: broken"])
    assert len(recwarn.list) == 2
    assert run("-q", "--verbose")[0] == 2
    assert LEVEL not in os.environ


def test_of_several_processes_the_first_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    @command()
    @handle_errors
    def work() -> None:
        """Work."""
        logger("codectok.work").info("info")

    monkeypatch.setenv("RANK", "1")
    assert CliRunner().invoke(work, ["-v"]).stderr == ""
    monkeypatch.setenv("RANK", "0")
    assert CliRunner().invoke(work, ["-v"]).stderr == "info\n"


def test_a_damaged_sample_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "sample.npz"
    file.write_bytes(b"damaged")
    with caplog.at_level(logging.WARNING, "codectok"):
        SampleRun([4], 100, 1.0, 0, {}, file).resume()
    assert "frames are sampled anew" in caplog.text
    assert str(file) in caplog.text
    assert sys.modules["kmeans_units.sample_run"].LOG.name == "codectok.kmeans_units.sample_run"
