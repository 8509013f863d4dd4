"""What is set, to what, by whom, and what it means."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from itertools import pairwise
from typing import Any

from codectok.settings.build import shape_of
from codectok.settings.refusal import allowed, schema_at
from codectok.settings.values import Values
from codectok.settings.yaml_text import Keys, SettingPlace, dotted


@dataclass(frozen=True)
class Setting:
    """One setting."""

    key: str
    """As it is given on the command line."""
    value: Any
    source: SettingPlace | None
    """Where it was given; None for a default."""
    meaning: str
    allowed: str
    """What may be given, in words."""
    group: str
    """What it belongs to, in words."""


def explain(kind: type, values: Values, **groups: type) -> list[Setting]:
    """Every setting that ``values`` give or leave at its default; arguments and errors as :func:`build`."""
    shape = shape_of(kind, **groups)
    found = shape.check(values)

    def explained(keys: Keys, value: Any, owner: type, group: str) -> Iterator[Setting]:
        if is_dataclass(value):
            for f in fields(value):
                yield from explained((*keys, f.name), getattr(value, f.name), type(value), group)
        elif isinstance(value, tuple | list) and value and all(is_dataclass(item) for item in value):
            for i, item in enumerate(value):
                yield from explained((*keys, i), item, type(item), f"{dotted((*keys, i))}: {summary(type(item))}")
        else:
            words = allowed(schema_at(shape.schema, keys, shape.schema), shape.schema)
            yield Setting(dotted(keys), value, values.sources.get(keys), docs(owner)[str(keys[-1])], words, group)

    return [
        setting
        for key, owner in shape.owners.items()
        for setting in explained((key,), getattr(found, key), owner, summary(owner))
    ]


@functools.cache
def docs(kind: type) -> dict[str, str]:
    """What each field of a dataclass means: the string under it, in its class or the one that it is inherited from.

    pydantic's ``use_attribute_docstrings`` does not look at inherited fields.
    """
    found = {}
    for base in (b for b in reversed(kind.__mro__) if is_dataclass(b)):
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for line, below in pairwise(body.body):
            match line, below:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(str(text))):
                    found[name] = _plain(text)
    return found


def summary(kind: type) -> str:
    """The first line of a class's docstring."""
    return _plain((inspect.getdoc(kind) or kind.__name__).partition("\n\n")[0])


def _plain(text: str) -> str:
    """Without the marks of reStructuredText, in one line."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"\1", " ".join(text.split()))
    return text.replace("``", "")
