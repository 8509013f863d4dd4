"""What the commands share: errors in one line, the options that choose a tokenizer, tables, exit status."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

import click

from codectok import stops
from codectok.cli.verbosity import telling
from codectok.errors import AudioWarning, CodectokError
from codectok.files.full_disk import REMEDIES, is_hopeless

if TYPE_CHECKING:
    from codectok.tokenizer import Tokenizer

P = ParamSpec("P")
R = TypeVar("R")
Row = Mapping[str, object]
WIDEST = 100_000
"""Characters of a line that is written to a file or a pipe."""


def describe(error: BaseException) -> str:
    """An error in one line: its message, or for the operating system's errors the reason and the file."""
    if is_hopeless(error):
        assert isinstance(error, OSError)
        what = f"cannot write {os.fspath(error.filename)}" if error.filename else "cannot write"
        reason, remedy = os.strerror(error.errno or 0).lower(), REMEDIES[error.errno or 0]
        return f"{what} ({reason}): {remedy} and run the same command again"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {os.fspath(error.filename)}" if error.filename else "")
    return " ".join(str(error).split()) or type(error).__name__


def handle_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Report a deliberate error, or one of the operating system (disk full, no permission), in one line; exit 2.

    So is a stop by Ctrl-C or SIGTERM, with what is kept; exit 130 or 143. What is logged is shown as -v and -q ask.

    Warnings of audio files are a line each. Anything else is a bug and keeps its traceback.
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with telling(), _audio_warnings():
                return function(*args, **kwargs)
        except BrokenPipeError:
            raise  # click ends quietly when the reader of a pipe has gone
        except KeyboardInterrupt as error:
            raise click.exceptions.Exit(stops.tell(error)) from None
        except (CodectokError, OSError) as error:
            click.echo(f"Error: {describe(error)}", err=True)
            raise click.exceptions.Exit(2) from None

    return wrapper


@contextlib.contextmanager
def _audio_warnings() -> Iterator[None]:
    """Show what is wrong with audio that was read all the same, once a file."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def line(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            if issubclass(category, AudioWarning):
                click.echo(f"warning: {message}", err=True)
            else:
                show(message, category, *rest, **more)

        warnings.showwarning = line
        yield


def tokenizer_options(function: Callable[P, R]) -> Callable[P, R]:
    """Add --tokenizer, --codebooks and --bitrate, each None where it is not given."""
    options = (
        click.option("--tokenizer", metavar="T", help="Packaged name, model folder or hub id.  [default: speech]"),
        click.option("--codebooks", type=click.IntRange(min=1), metavar="K", help="Use the first K codebooks."),
        click.option("--bitrate", type=float, metavar="KBPS", help="Use as many codebooks as fit in this many kbit/s."),
    )
    for option in reversed(options):
        function = option(function)
    return function


device_option = click.option("--device", default="cpu", show_default=True, help="Torch device that the model runs on.")


def open_tokenizer(
    name: str | None, codebooks: int | None, bitrate: float | None, device: str = "cpu"
) -> tuple[Tokenizer, int]:
    """The tokenizer meant by :func:`tokenizer_options`, and the number of codebooks.

    Raises:
        click.UsageError: both --codebooks and --bitrate.
        CodectokError: no such tokenizer or device, or not so many codebooks.
    """
    if codebooks is not None and bitrate is not None:
        raise click.UsageError("give --codebooks or --bitrate, not both", click.get_current_context(silent=True))
    from codectok.tokenizer import load

    tokenizer = load(name, device=device)
    return tokenizer, tokenizer.choose_codebooks(codebooks, bitrate)


def print_json(value: Any) -> None:
    """Print a value as indented JSON on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(title: str, rows: Sequence[Row], as_json: bool = False) -> None:
    """Print rows with the same keys as an aligned table headed by them; as JSON, the list of rows.

    Numbers are right-aligned and floats rounded to four digits in the table; JSON keeps them as they are. A terminal
    folds cells that it is too narrow for; elsewhere lines are as long as they need to be.
    """
    if as_json:
        print_json([dict(row) for row in rows])
        return
    if title:
        click.echo(title)
    if not rows:
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 0, 0, 2), header_style="bold")
    for key in rows[0]:
        number = all(isinstance(row.get(key), (int, float, type(None))) for row in rows)
        table.add_column(Text(key), justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(format_value(row.get(key))) for key in rows[0]))  # a Text has no markup
    console = Console(width=None if sys.stdout.isatty() else WIDEST)
    with console.capture() as shown:
        console.print(table)
    for line in shown.get().splitlines():
        click.echo("  " + line.rstrip())


def format_value(value: object) -> str:
    """A cell of a table: floats to four significant digits, whole from 1000 up, None as a dash."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def finish(done: int, failed: int) -> NoReturn:
    """Leave with the exit status: 0 all done, 1 some failed, 2 nothing could be used."""
    raise click.exceptions.Exit(0 if not failed else 1 if done else 2)
