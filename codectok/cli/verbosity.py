"""``-v`` and ``-q`` of every command: how much is said beside its results, all on stderr."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator

import click

from codectok.log import shown

_KEY = "codectok.verbosity"


def verbosity_options() -> list[click.Option]:
    """``-v`` and ``-q``, which no command's function sees."""
    return [
        click.Option(
            ["-v", "--verbose"], is_flag=True, expose_value=False, callback=_asked, help="Say what is done on the way."
        ),
        click.Option(
            ["-q", "--quiet"], is_flag=True, expose_value=False, callback=_asked, help="No warnings, no progress bar."
        ),
    ]


def _asked(ctx: click.Context, option: click.Parameter, value: bool) -> None:
    if not value:
        return
    if ctx.meta.setdefault(_KEY, option.name) != option.name:
        raise click.UsageError("give -v or -q, not both", ctx)


def is_quiet() -> bool:
    """Whether the command that runs was given ``-q``."""
    ctx = click.get_current_context(silent=True)
    return ctx is not None and ctx.meta.get(_KEY) == "quiet"


@contextlib.contextmanager
def telling() -> Iterator[None]:
    """Show what is logged while a command runs: warnings; with -v all that is done, with -q only errors.

    Of several processes that torchrun starts, the first speaks for all. With -q Python's warnings are not shown either.
    """
    ctx = click.get_current_context(silent=True)
    asked = "" if ctx is None else ctx.meta.get(_KEY, "")
    level = {"verbose": logging.INFO, "quiet": logging.ERROR}.get(asked, logging.WARNING)
    if os.environ.get("RANK", "0") != "0":
        level = logging.ERROR
    unheard = warnings.catch_warnings(action="ignore") if is_quiet() else contextlib.nullcontext()
    with shown(level, lambda line: click.echo(line, err=True)), unheard:
        yield
