"""Settings as somebody wrote them: YAML files, and ``key=value`` over them, each with the place where it stands."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codectok.errors import FormatError
from codectok.settings.yaml_text import Keys, SettingPlace, dotted, parse

MAX_BYTES = 1 << 16
"""Of a file of settings; the longest that ships has 7 KB."""


@dataclass
class Values:
    """Plain values by key, not yet checked."""

    plain: dict[str, Any] = field(default_factory=dict)
    """Nested dicts and lists of text, numbers, truth values and None."""
    sources: dict[Keys, SettingPlace] = field(default_factory=dict)
    """Where each value in ``plain`` was given, by its path."""
    where: str = "settings"
    """What was read, for messages."""

    def get(self, keys: Keys) -> tuple[Any, dict[Keys, SettingPlace]]:
        """The value at a path, and the sources within it."""
        held: Any = self.plain
        for key in keys:
            held = held[key]
        return held, {path[len(keys) :]: s for path, s in self.sources.items() if path[: len(keys)] == keys}

    def put(self, keys: Keys, value: Any, sources: dict[Keys, SettingPlace]) -> None:
        """Set the value at a path; ``sources`` are those within it.

        Raises:
            FormatError: there is nothing at the path that could hold it.
        """
        held: Any = self.plain
        for i, key in enumerate(keys):
            last, there = i == len(keys) - 1, key in (range(len(held)) if isinstance(held, list) else held)
            if not there and (isinstance(held, list) or not last):
                raise FormatError(f"{sources[()]}: {dotted(keys)}: there is no {dotted(keys[: i + 1])} to set it in")
            if last:
                held[key] = value
            elif isinstance(held[key], dict | list):
                held = held[key]
            else:
                raise FormatError(f"{sources[()]}: {dotted(keys)}: {dotted(keys[: i + 1])} has nothing inside")
        self._forget(keys)
        self.sources |= {keys + path: source for path, source in sources.items()}

    def pop(self, key: str) -> Any:
        """Take a top key out; None where it is not there."""
        self._forget((key,))
        return self.plain.pop(key, None)

    def source(self, keys: Keys) -> SettingPlace:
        """Of the value at a path, or of the nearest that holds it."""
        while keys and keys not in self.sources:
            keys = keys[:-1]
        return self.sources.get(keys, SettingPlace(self.where))

    def _forget(self, keys: Keys) -> None:
        self.sources = {path: s for path, s in self.sources.items() if path[: len(keys)] != keys}


def read(files: Sequence[str], overrides: Iterable[str], packaged: Path | None = None, noun: str = "recipe") -> Values:
    """Read settings, later files over earlier ones and ``key=value`` over all; ``stages.0.steps=10`` reaches inside.

    Args:
        files: YAML files, or names of those in ``packaged``.
        overrides: ``key=value`` each; an empty value is "".
        packaged: folder of the files that have names.
        noun: what such a file is called.

    Raises:
        FormatError: no such file, one that is not YAML of keys and values, or an argument that is not key=value.
    """
    values = Values(where=", ".join(files) or "command line")
    for name in files:
        file = find(name, packaged, noun)
        called = str(file) if file == Path(name) else file.name
        plain, sources = parse(_text(file), SettingPlace(called))
        if not isinstance(plain or {}, dict):
            raise FormatError(f"{called} is not a {noun}: write key: value lines")
        for key, value in (plain or {}).items():
            if key in values.plain:
                values.pop(key)
            values.plain[key] = value
        values.sources |= sources
    for item in overrides:
        name, sign, text = item.partition("=")
        if not sign or not name:
            raise FormatError(f"{item!r} is not key=value")
        keys = tuple(int(key) if key.isdecimal() else key for key in name.split("."))
        values.put(keys, *(parse(text, SettingPlace(), item) if text else ("", {(): SettingPlace()})))
    return values


def find(name: str, packaged: Path | None, noun: str) -> Path:
    """The file of a path or packaged name.

    Raises:
        FormatError: there is none.
    """
    names = sorted(p.stem for p in packaged.glob("*.yaml")) if packaged else []
    if Path(name).is_file():
        return Path(name)
    if packaged and name in names:
        return packaged / f"{name}.yaml"
    choices = f" or one of {', '.join(names)}" if names else ""
    raise FormatError(f"no {noun} {name!r}{did_you_mean(name, names)}: give a YAML file{choices}")


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """ " (did you mean X?)" with the nearest of ``names``; "" where none is near."""
    near = difflib.get_close_matches(name, list(names), 1, 0.5)
    return f" (did you mean {near[0]}?)" if near else ""


def _text(file: Path) -> str:
    with open(file, "rb") as opened:
        data = opened.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise FormatError(f"{file} is too large to hold settings: more than {MAX_BYTES >> 10} KiB", path=file)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FormatError(f"{file} is not text in UTF-8: give a YAML file", path=file) from None
