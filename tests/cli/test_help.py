"""What ``--help`` shows: examples that the command takes, whole names off a terminal, colour on one."""

from __future__ import annotations

import inspect
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import codectok
from codectok.cli.main import main
from codectok.testing import voice

RUN = ("encode", "corpus segment", "tokenize", "decode", "convert", "merge", "verify", "info", "inspect", "bench list")
"""Commands whose examples are run, in this order; of others, those that only explain or list."""
CHEAP = ("--list", "--explain", "--dry-run")


def commands(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command that is no group, by what is typed after ``codectok``."""
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands())


def examples(name: str) -> list[str]:
    """The lines under ``Examples:`` in a command's help."""
    _, heading, after = inspect.cleandoc(COMMANDS[name].help or "").partition("\nExamples:\n")
    return [line.strip() for line in after.split("\n\n")[0].splitlines()] if heading else []


LINES = [(name, line) for name in COMMANDS for line in examples(name)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_examples(name: str) -> None:
    assert examples(name), f"codectok {name} --help has no examples"
    assert all(line.startswith(f"codectok {name}") for line in examples(name))


@pytest.mark.parametrize(("name", "line"), LINES)
def test_commands_take_the_arguments_of_their_examples(name: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, ctx: value)  # none of the files is there
    COMMANDS[name].make_context(name, shlex.split(line)[1 + len(name.split()) :])


def test_an_option_that_does_not_exist_would_be_found() -> None:
    with pytest.raises(click.NoSuchOption):
        COMMANDS["encode"].make_context("encode", ["a.flac", "-o", "tokens", "--bits", "3"])


def test_the_cheap_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for i, file in enumerate(("a.flac", "b.mp3", "corpus/a.wav", "corpus/b.wav")):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        codectok.write_audio(file, voice(4800, 16000, i), 16000)
    Path("train.csv").write_text("id,path,text\na,corpus/a.wav,hello\nb,corpus/b.wav,there\n")
    Path("data").mkdir()
    Path("stages.yaml").write_text("stages: [{trainable: all, steps: 10, learning_rate: 1e-3}]\n")
    done = set()
    for name, line in sorted(LINES, key=lambda x: RUN.index(x[0]) if x[0] in RUN else len(RUN)):
        if not (name in RUN or any(option in line for option in CHEAP)) or "--vad" in line:
            continue
        result = CliRunner().invoke(main, shlex.split(line)[1:])
        assert result.exit_code == 0, f"{line}: {result.output}"
        done.add(name)
    assert set(RUN) < done
    assert all(Path(made).exists() for made in ("tokens/a.ctk", "whole/store.json", "kaldi", "report.html"))


@pytest.mark.parametrize("name", COMMANDS)
def test_off_a_terminal_no_name_is_wrapped_or_cut(name: str) -> None:
    result = CliRunner().invoke(main, [*name.split(), "--help"], env={"COLUMNS": "40"})
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    for option in (p for p in COMMANDS[name].params if isinstance(p, click.Option)):
        assert re.search(rf"^  .*{re.escape(max(option.opts, key=len))}\b", result.stdout, re.M), option.opts
        assert " ".join((option.help or "").split()) in " ".join(result.stdout.split())
    assert all(f"  {line}\n" in result.stdout for line in examples(name))
    assert max(map(len, result.stdout.splitlines())) <= 80


WITH_MODELS = {
    *("encode", "decode", "tokenize", "inspect", "corpus align", "units score", "bench run"),
    *("llm generate", "llm score", "llm extend"),
}


def on_a_terminal(*arguments: str) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "NO_COLOR": ""}
    command = [sys.executable, "-m", "codectok", *arguments]
    with subprocess.Popen(command, stdout=theirs, stdin=theirs, env=environment) as process:
        os.close(theirs)
        written = b""
        try:
            while block := os.read(ours, 4096):
                written += block
        except OSError:  # the other end is closed
            pass
        os.close(ours)
    assert process.returncode == 0
    return written.decode()


def test_on_a_terminal_help_is_coloured_and_in_order() -> None:
    listing = on_a_terminal("--help")
    assert "\x1b[" in listing
    assert listing.index("encode") < listing.index("decode") < listing.index("units")
    one = re.sub(r"\x1b\[[0-9;]*m", "", on_a_terminal("tokenize", "--help"))
    assert all(line in one for line in examples("tokenize"))
    assert one.index("Store:") < one.index("Many machines:") < one.index("--engine")


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_spelled_alike(name: str) -> None:
    options = [p for p in COMMANDS[name].params if isinstance(p, click.Option)]
    shown = {spelling for option in options for spelling in option.opts}
    assert not shown & {"--out", "--jobs", "--dest", "--num-workers"}
    assert ("-o" in shown) == ("--output" in shown)
    assert ("--device" in shown) or name not in WITH_MODELS


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("plot", ["run", "--out", "a.png"]),
        ("bench run", ["mini", "--out", "a.png", "--jobs", "2"]),
        ("bench report", ["tests", "--out", "a.png"]),
    ],
)
def test_earlier_names_are_taken_and_not_shown(name: str, arguments: list[str]) -> None:
    taken = COMMANDS[name].make_context(name, arguments).params
    assert str(taken["out"]) == "a.png"
    assert taken.get("jobs", 2) == 2
    shown = CliRunner().invoke(main, [*name.split(), "--help"]).stdout
    assert not re.search(r"--(out|jobs)\b(?!put)", shown)


@pytest.mark.parametrize(
    "command",
    [
        "encode a.wav -o a.ctk",
        "decode b.ctk -o a.flac",
        "inspect a.wav -o a.html",
        "units score random .",
        "llm extend base -o out",
    ],
)
def test_models_run_on_the_device_that_is_named(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    codectok.write_audio("a.wav", voice(4800, 16000, 1), 16000)
    Path("b.ctk").touch()
    result = CliRunner().invoke(main, [*command.split(), "--device", "nowhere"])
    assert result.exit_code == 2
    assert "device 'nowhere' cannot be used" in result.output
