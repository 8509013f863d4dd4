"""A click group that imports a command's module only when that command is run.

The names and help lines of codectok's own commands stand in a table. Other packages add commands by the entry point
group ``codectok.commands``; their help line is read from the source text, since importing them may import torch.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

ENTRY_POINT_GROUP = "codectok.commands"


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
    def plugins(self) -> dict[str, EntryPoint]:
        """Commands of other packages; a name of codectok's own is never replaced."""
        found = entry_points(group=ENTRY_POINT_GROUP) if self.entry_points_too else ()
        return {point.name: point for point in sorted(found) if point.name not in self.table}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Own commands in the order of the table, then the others."""
        return [*self.table, *self.plugins]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; None if there is none of that name."""
        target = self.table[cmd_name][0] if cmd_name in self.table else None
        if target is None and cmd_name in self.plugins:
            target = self.plugins[cmd_name].value
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except ImportError as error:
            needs = f"it needs {error.name}" if error.name else str(error)
            raise click.ClickException(
                f"`{ctx.command_path} {cmd_name}` cannot start: {needs} (pip install 'codectok[all]')"
            ) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown command is answered with the list of those that exist."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            raise click.UsageError(f"no command {args[0]!r}; there are {', '.join(self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in ``--help``, without importing any."""
        rows = [(name, line) for name, (_, line) in self.table.items()]
        rows += [(name, source_help(point.value)) for name, point in self.plugins.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

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
    except click.ClickException as error:
        text = " ".join(error.format_message().split())
        if isinstance(error, click.UsageError):
            text = f"{text.rstrip('.')}; see {(error.ctx or ctx).command_path} --help"
        click.echo(f"Error: {text}", err=True)
        raise click.exceptions.Exit(2) from None


def source_help(target: str) -> str:
    """First line of the docstring of "module:attribute", else of the module, read without importing it; "" if none."""
    module, _, attribute = target.partition(":")
    top, *rest = module.split(".")
    try:
        spec = find_spec(top)
        if spec is None or spec.origin is None:
            return ""
        path = Path(spec.origin) if not rest else Path(spec.origin).parent.joinpath(*rest)
        if rest:
            path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (ImportError, OSError, ValueError, SyntaxError):
        return ""
    documented: list[ast.FunctionDef | ast.Module] = [tree]
    documented[:0] = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == attribute]
    return next((text.split("\n", 1)[0] for node in documented if (text := ast.get_docstring(node))), "")
