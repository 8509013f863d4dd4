"""Commands as a user calls them, in this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from codectok.cli.main import main


def run(*args: object) -> Result:
    """Call ``codectok`` with these arguments."""
    return CliRunner().invoke(main, [str(a) for a in args])


def done(*args: object) -> str:
    """What a command that ends well prints."""
    result = run(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*args: object) -> str:
    """The one line that a command says which does nothing."""
    result = run(*args)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    return line
