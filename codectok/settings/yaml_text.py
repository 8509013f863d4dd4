"""YAML as plain values with their lines. Nothing in it is run, and nothing grows beyond its bounds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import yaml

from codectok.errors import FormatError

Keys = tuple[str | int, ...]
"""A path of keys and places in lists."""
MAX_DEPTH = 16
"""Of nesting."""
MAX_BRACKETS = 200
"""Open at once, those in text and comments counted: PyYAML takes minutes over thousands."""
MAX_VALUES = 10_000
"""With aliases written out."""
_MERGE = "tag:yaml.org,2002:merge"
_PLAIN = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


def dotted(keys: Keys) -> str:
    """As ``key=value`` has it: ``stages.0.steps``."""
    return ".".join(map(str, keys))


@dataclass(frozen=True)
class SettingPlace:
    """A place where a setting is given."""

    file: str = ""
    """Empty for the command line."""
    line: int = 0
    """From 1 on; 0 is no line in particular."""
    text: str | None = None
    """The value as it is written, where YAML takes it for a number, date or truth value: a name may look like one."""

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}" if self.line else self.file or "command line"


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Plain values alone; 1e-3 is a number, as YAML 1.2 has it."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parse(text: str, source: SettingPlace, called: str = "this") -> tuple[Any, dict[Keys, SettingPlace]]:
    """The value of a YAML document (None where it is empty), and where each value within stands: () is all of it.

    Raises:
        FormatError: not YAML, a key that stands twice, or more nesting or values than settings have.
    """
    brackets = (1 if bracket in "[{" else -1 for bracket in re.findall(r"[\[\]{}]", text))
    if max(accumulate(brackets), default=0) > MAX_BRACKETS:
        raise FormatError(f"{source}: nested too deeply for settings", path=source.file or None)
    try:
        reader = _Reader(_Loader(text), source.file)
        node = reader.loader.get_single_node()
        value = None if node is None else reader.value(node, ())
    except RecursionError:
        raise FormatError(f"{source}: nested too deeply for settings", path=source.file or None) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = " ".join(str(getattr(error, "problem", None) or getattr(error, "reason", error)).split())
        place = SettingPlace(source.file, mark.line + 1) if mark and source.file else source
        raise FormatError(f"{place}: {called} is not YAML ({reason})") from None
    return value, {(): source} | reader.sources


class _Reader:
    """Walks a document's nodes, with aliases and merged mappings written out."""

    def __init__(self, loader: _Loader, file: str) -> None:
        self.loader, self.file, self.count = loader, file, 0
        self.sources: dict[Keys, SettingPlace] = {}

    def value(self, node: yaml.Node, path: Keys) -> Any:
        """The node's value, whose sources are kept."""
        self.count += 1
        if self.count > MAX_VALUES or len(path) > MAX_DEPTH:
            raise FormatError(f"{self._place(node)}: more nesting, aliases or values than settings have")
        self.sources[path] = self._place(node)
        if isinstance(node, yaml.CollectionNode) and node.tag not in _PLAIN:
            raise FormatError(f"{self._place(node)}: settings have no values of type {node.tag}")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        try:
            value = self.loader.construct_object(node)
        except ValueError as error:  # 2024-99-99
            raise FormatError(f"{self._place(node)}: {node.value!r} is no value ({error})") from None
        if isinstance(value, str | None):
            return value
        self.sources[path] = self._place(node, node.value)
        return value if isinstance(value, int | float) else node.value

    def _mapping(self, node: yaml.MappingNode, path: Keys) -> dict[str, Any]:
        named = {}
        values: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                # The first of several wins, and keys of the mapping itself over all.
                for other in reversed(value.value if isinstance(value, yaml.SequenceNode) else [value]):
                    merged = self.value(other, path)
                    if not isinstance(merged, dict):
                        raise FormatError(f"{self._place(key)}: << takes key: value lines alone")
                    values |= merged
            elif not isinstance(key, yaml.ScalarNode):
                raise FormatError(f"{self._place(key)}: a key that is not a name")
            elif key.value in named:
                raise FormatError(f"{self._place(key)}: {dotted((*path, key.value))} stands twice")
            else:
                named[key.value] = value
        if values:
            anew = {(*path, name) for name in named}
            self.sources = {at: s for at, s in self.sources.items() if at[: len(path) + 1] not in anew}
        return values | {name: self.value(value, (*path, name)) for name, value in named.items()}

    def _place(self, node: yaml.Node, text: str | None = None) -> SettingPlace:
        return SettingPlace(self.file, node.start_mark.line + 1 if self.file else 0, text)
