"""What ``--help`` shows: on a terminal drawn by rich-click, elsewhere plain text of 80 columns.

rich-click draws a twin of the command, made when help is asked for. So nothing else waits for it, commands stay plain
click with errors in one line, and a group is listed without importing its commands.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import click

from codectok.cli.verbosity import verbosity_options

Sections = Mapping[str, Sequence[str]]
LOOK = {"theme": "cargo-slim", "text_emojis": False, "text_paragraph_linebreaks": "\n\n"}

_HYPHEN = "\N{NON-BREAKING HYPHEN}"


class HelpfulCommand(click.Command):
    """A command with -v and -q, whose help lists its options under headings.

    Args:
        sections: heading -> names of parameters, in the order of the help; what no section has comes last.
    """

    def __init__(self, *args: Any, sections: Sections | None = None, **kwargs: Any) -> None:
        kwargs["params"] = [*(kwargs.get("params") or ()), *verbosity_options()]
        super().__init__(*args, **kwargs)
        self.sections = sections or {}

    def get_help(self, ctx: click.Context) -> str:
        """The text of ``--help``."""
        return shown(self, ctx, sections=self.sections)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options as plain text, section by section."""
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        records = {p.name: record for p in options if (record := p.get_help_record(ctx)) is not None}
        for heading, names in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl([records.pop(name) for name in names], col_max=26)
        with formatter.section("Other options" if self.sections else "Options"):
            formatter.write_dl(list(records.values()), col_max=26)


class Renamed(click.Option):
    """An option that is also taken by earlier names, which neither help nor completion shows.

    Args:
        old: such as ``["--out"]``.
    """

    def __init__(self, *args: Any, old: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.old = list(old)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """As click does, with the earlier names."""
        super().add_to_parser(parser, ctx)
        parser.add_option(obj=self, opts=self.old, dest=self.name, action="store", nargs=self.nargs)


command = partial(click.command, cls=HelpfulCommand)
"""As ``click.command``; also takes ``sections``."""


class WholeWords(click.HelpFormatter):
    """Wraps between words only: click's own would cut names at their hyphens."""

    def write_text(self, text: str) -> None:
        """A paragraph, or several."""
        super().write_text(text.replace("-", _HYPHEN))

    def write_dl(self, rows: Iterable[tuple[str, str | None]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Names, and what is said of each beside it."""
        super().write_dl([(name, (text or "").replace("-", _HYPHEN)) for name, text in rows], col_max, col_spacing)

    def getvalue(self) -> str:
        """All that was written."""
        return super().getvalue().replace(_HYPHEN, "-")


def shown(
    command: click.Command,
    ctx: click.Context,
    sections: Sections | None = None,
    commands: Iterable[tuple[str, str]] = (),
) -> str:
    """The help of a command.

    Args:
        command: whose ``format_help`` writes it as plain text.
        ctx: that it is asked for in.
        sections: as of :class:`HelpfulCommand`.
        commands: of a group, the names and help lines of its own.
    """
    if not sys.stdout.isatty():
        formatter = WholeWords(width=80)
        command.format_help(ctx, formatter)
        return formatter.getvalue().rstrip("\n")
    from rich_click import RichCommand, RichCommandPanel, RichContext, RichGroup, RichOptionPanel

    lines = dict(commands)
    panels: list[Any] = [RichOptionPanel(heading, options=list(names)) for heading, names in (sections or {}).items()]
    panels += [RichCommandPanel("Commands", commands=list(lines))] if lines else []
    facts: dict[str, Any] = {
        "name": ctx.info_name,
        "params": command.get_params(ctx),
        "help": inspect.cleandoc(command.help or ""),
        "add_help_option": False,
        "panels": panels,
    }
    twin = RichCommand(**facts)
    if lines:
        twin = RichGroup(commands={n: RichCommand(name=n, help=line) for n, line in lines.items()}, **facts)
    return twin.get_help(RichContext(twin, info_name=ctx.command_path, rich_help_config=LOOK))
