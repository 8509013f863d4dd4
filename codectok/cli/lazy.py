"""A click group that imports a command's module only when that command is run.

The names and help lines of codectok's own commands stand in a table. Other packages add commands by entry points of the
kind ``commands``; their help line is read from the source text, since importing them may import torch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import click

from codectok import registry, stops
from codectok.cli.help import shown
from codectok.cli.source_help import source_help
from codectok.errors import CodectokError


class LazyGroup(click.Group):
    """Commands named by ``table``: name -> ("module:attribute", help line).

    Args:
        table: the commands.
        entry_points_too: also those that installed packages add, as the main command has them.

    Every error that click reports is one line on stderr, with exit status 2.
    """

    def __init__(
        self, *args: Any, table: Mapping[str, tuple[str, str]], entry_points_too: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.table = dict(table)
        self.entry_points_too = entry_points_too

    @cached_property
    def plugins(self) -> dict[str, registry.Entry]:
        """Commands that entry points add; a name of the table is never replaced."""
        found = registry.entries("commands") if self.entry_points_too else []
        return {entry.name: entry for entry in sorted(found, key=lambda e: e.name) if entry.name not in self.table}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Own commands in the order of the table, then the others."""
        return [*self.table, *self.plugins]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; None if there is none of that name."""
        if cmd_name in self.table:
            entry = registry.Entry("commands", cmd_name, self.table[cmd_name][0], registry.OWN, ("all",))
        elif cmd_name in self.plugins:
            entry = self.plugins[cmd_name]
        else:
            return None
        try:
            command: click.Command = entry.load()
        except CodectokError as error:
            raise click.ClickException(str(error)) from error
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown command is answered with the list of those that exist."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            raise click.UsageError(f"no command {args[0]!r}; there are {', '.join(self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)

    def help_lines(self) -> list[tuple[str, str]]:
        """Name and help line of every command, without importing any."""
        own = [(name, line) for name, (_, line) in self.table.items()]
        return own + [(name, source_help(entry.target)) for name, entry in self.plugins.items()]

    def get_help(self, ctx: click.Context) -> str:
        """The text of ``--help``."""
        return shown(self, ctx, commands=self.help_lines())

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in ``--help`` as plain text."""
        with formatter.section("Commands"):
            formatter.write_dl(self.help_lines())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, errors in one line."""
        with _one_line_errors(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """As click does, errors in one line."""
        with _one_line_errors(ctx):
            return super().invoke(ctx)


@contextlib.contextmanager
def _one_line_errors(ctx: click.Context) -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except KeyboardInterrupt as error:
        raise click.exceptions.Exit(stops.tell(error)) from None
    except click.ClickException as error:
        text = " ".join(error.format_message().split())
        if isinstance(error, click.UsageError):
            text = f"{text.rstrip('.')}; see {(error.ctx or ctx).command_path} --help"
        click.echo(f"Error: {text}", err=True)
        raise click.exceptions.Exit(2) from None
