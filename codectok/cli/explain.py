"""``--explain``: every setting of a command, its value, where that comes from and what it means."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from codectok.cli.console import print_json

if TYPE_CHECKING:
    from codectok.settings.explain import Setting

P = ParamSpec("P")
R = TypeVar("R")


def explain_option(function: Callable[P, R]) -> Callable[P, R]:
    """Add --explain."""
    words = "Run nothing: print every setting, its value, where that comes from and what it means."
    return click.option("--explain", is_flag=True, help=words)(function)


def json_option(function: Callable[P, R]) -> Callable[P, R]:
    """Add --json, for commands that print nothing else to make JSON of."""
    return click.option("--json", "as_json", is_flag=True, help="With --explain: as JSON.")(function)


def needed(value: R | None, option: str) -> R:
    """The value of an option that only --explain does without."""
    if value is None:
        raise click.UsageError(f"Missing option {option}.", click.get_current_context())
    return value


def print_settings(settings: Sequence[Setting], as_json: bool) -> None:
    """Print settings under the names of their groups; no wider than the terminal (elsewhere: 80), and nothing cut."""
    if as_json:
        print_json([_plain(setting) for setting in settings])
        return
    width = max(60, min(100, shutil.get_terminal_size().columns)) if sys.stdout.isatty() else 80
    group, said = None, set()
    for setting in settings:
        if setting.group != group:
            group = setting.group
            click.echo(f"\n{_filled(group, width, '')}")
        shown = f"  {setting.key}: {_shown(setting.value)}"
        source = str(setting.source or "default")
        if len(shown) + len(source) + 2 <= width:
            click.echo(shown + source.rjust(width - len(shown)))
        else:
            click.echo(f"{_filled(shown.strip(), width, '  ')}\n{source.rjust(width)}")
        if (meaning := f"{setting.meaning} ({setting.allowed})") not in said:  # of several stages: once
            said.add(meaning)
            click.echo(_filled(meaning, width, " " * 6))


def _filled(text: str, width: int, indent: str) -> str:
    return textwrap.fill(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _plain(setting: Setting) -> dict[str, Any]:
    source = setting.source
    if source is None:
        given: dict[str, Any] = {"from": "default"}
    elif source.file:
        given = {"from": "file", "file": source.file, "line": source.line}
    else:
        given = {"from": "command line"}
    fields = {"key": setting.key, "value": setting.value, **given, "meaning": setting.meaning}
    return fields | {"allowed": setting.allowed, "group": setting.group}
