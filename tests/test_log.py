"""The logger: silent by default, shown by commands with -v, in worker processes too."""

from __future__ import annotations

import logging
import os
import sys
import time
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
from codectok.processes import map_ahead
from codectok.store.writer import StoreWriter
from kmeans_units.sample_run import SampleRun
from tests.processes.functions import log_item


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


def test_workers_write_what_the_main_process_shows(capfd: pytest.CaptureFixture[str]) -> None:
    with shown(logging.INFO, print):
        assert list(map_ahead(log_item, [1, 2], 2)) == [1, 2]
    written, until = "", time.monotonic() + 20
    while len(written.splitlines()) < 2 and time.monotonic() < until:  # a worker's line may come after its result
        written += capfd.readouterr().err
        time.sleep(0.02)
    assert sorted(written.splitlines()) == ["item 1", "item 2"]
    assert list(map_ahead(log_item, [1, 2], 2)) == [1, 2]
    assert capfd.readouterr().err == ""


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
