import json
import subprocess
import sys
import textwrap

import click
import pytest
from click.testing import CliRunner

from codectok import registry
from codectok.cli.console import format_value, handle_errors, print_table
from codectok.cli.main import COMMANDS, main
from codectok.cli.source_help import source_help
from codectok.errors import CodectokError


def run(*args):
    return CliRunner().invoke(main, args)


def test_help_lists_every_command_with_its_line():
    result = run("--help")
    assert result.exit_code == 0
    for name, (_, line) in COMMANDS.items():
        assert f"  {name} " in result.stdout
        assert line in result.stdout


def test_help_and_version_import_nothing_heavy():
    code = textwrap.dedent("""
        import sys
        from codectok.cli.main import main
        for args in (["--help"], ["--version"]):
            try:
                main(args)
            except SystemExit as e:
                assert not e.code
        heavy = {"torch", "numpy", "rich", "soundfile", "soxr", "transformers", "pyarrow", "matplotlib"}
        print("heavy:", sorted(heavy & set(sys.modules)))
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("heavy: []")


def test_python_m_codectok():
    done = subprocess.run([sys.executable, "-m", "codectok", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("codectok, version")


FULL = "no space left on device): free some space and run the same command again"


@pytest.mark.parametrize("name", COMMANDS)
def test_table_tells_the_truth(name):
    target, _ = COMMANDS[name]
    command = main.get_command(click.Context(main), name)
    assert isinstance(command, click.Command), target
    assert command.help is not None
    assert run(name, "--help").exit_code == 0


@pytest.mark.parametrize("args", [("encod",), ("--nope",), ("info", "--nope"), ("encode",)])
def test_usage_errors_are_one_line_and_exit_2(args):
    result = run(*args)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert "--help" in result.stderr


@pytest.fixture
def plugins(monkeypatch, tmp_path):
    """Installs a module as if another package had registered its functions as commands."""

    def install(source, **commands):
        (tmp_path / "plugin_of_a_test.py").write_text(textwrap.dedent(source))
        monkeypatch.syspath_prepend(tmp_path)
        found = [registry.Entry("commands", k, f"plugin_of_a_test:{v}", "theirs") for k, v in commands.items()]
        monkeypatch.setattr(registry, "entries", lambda kind: found)
        monkeypatch.delitem(main.__dict__, "plugins", raising=False)
        monkeypatch.delitem(sys.modules, "plugin_of_a_test", raising=False)

    yield install
    main.__dict__.pop("plugins", None)
    sys.modules.pop("plugin_of_a_test", None)


def test_other_packages_add_commands_without_being_imported(plugins):
    plugins(
        '''
        """The module."""
        import click

        @click.command()
        def train():
            """Train a thing.

            More.
            """
            click.echo("training")
        ''',
        train="train",
        encode="train",
    )
    listing = run("--help").stdout
    assert "Train a thing." in listing
    assert "plugin_of_a_test" not in sys.modules
    assert listing.count("  encode ") == 1
    assert "Turn audio files" in listing  # codectok's own command is not replaced
    assert run("train").stdout == "training\n"


def test_a_command_that_lacks_a_package_says_so(plugins):
    plugins("import a_package_nobody_has\n", train="train")
    assert run("--help").exit_code == 0
    result = run("train")
    assert result.exit_code == 2
    assert "a_package_nobody_has" in result.stderr
    assert "pip install" in result.stderr


@pytest.mark.parametrize("target", ["no_such_module:f", "codectok.no_such:f", "codectok.errors:f", "json:dumps"])
def test_source_help_never_fails(target):
    assert isinstance(source_help(target), str)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (CodectokError("two\nlines"), "Error: two lines\n"),
        (OSError(28, "No space left on device", "x.ctk"), f"Error: cannot write x.ctk ({FULL}\n"),
        (PermissionError(13, "Permission denied"), "Error: Permission denied\n"),
    ],
)
def test_handle_errors(error, line):
    @click.command()
    @handle_errors
    def fail():
        raise error

    result = CliRunner().invoke(fail)
    assert (result.exit_code, result.stderr, result.stdout) == (2, line, "")


def test_handle_errors_leaves_bugs_alone():
    @click.command()
    @handle_errors
    def fail():
        raise ValueError("a bug")

    assert isinstance(CliRunner().invoke(fail).exception, ValueError)


def test_print_table(capsys):
    rows = [{"name": "a", "n": 1, "x": 0.123456}, {"name": "long", "n": 200, "x": None}]
    print_table("title", rows)
    assert capsys.readouterr().out == "title\n  name    n       x\n  a       1  0.1235\n  long  200       -\n"
    print_table("title", rows, as_json=True)
    assert json.loads(capsys.readouterr().out) == rows


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (True, "yes"), (12345.6, "12346"), (0.00012345, "0.0001234"), (7, "7"), ("a", "a")]
)
def test_format_value(value, text):
    assert format_value(value) == text
