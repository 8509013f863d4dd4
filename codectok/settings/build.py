"""Settings checked against the dataclass that says what there is, by pydantic."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass, make_dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_type_hints

from codectok.errors import FormatError
from codectok.settings.refusal import refusal
from codectok.settings.values import Values
from codectok.settings.yaml_text import Keys, SettingPlace

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")
_OF_TEXT = ("string_type", "literal_error")
_STRICT = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


@dataclass(frozen=True)
class Shape:
    """What may be set: a dataclass whose fields are settings, or groups of settings that stand at the top too."""

    groups: Mapping[str, type]
    """By the name of their field in the dataclass."""
    adapter: TypeAdapter[Any]
    """Of a dataclass that has all of them as its own fields."""
    schema: Mapping[str, Any]
    """Of JSON."""
    owners: Mapping[str, type]
    """The class that each top key is a field of, in order."""

    def check(self, values: Values) -> Any:
        """All settings as attributes of one object.

        Raises:
            FormatError: an unknown key, or a value that is not what its field may be.
        """
        from pydantic import ValidationError

        while True:
            try:
                # JSON knows no tuples, so that lists are taken for them; apart from that, types must be exact.
                return self.adapter.validate_json(json.dumps(values.plain, default=repr))
            except ValidationError as error:
                found = [(e["type"], place(values.plain, e["loc"]), e) for e in error.errors(include_url=False)]
                if not _as_written(values, [keys for kind, keys, _ in found if kind in _OF_TEXT]):
                    raise refusal(values, self.schema, found) from None


def build(kind: type[T], values: Values, **groups: type) -> T:
    """Settings as an object of ``kind``.

    Args:
        kind: a dataclass; fields that are dataclasses themselves are groups, whose keys stand at the top with its own.
        values: as :func:`~codectok.settings.read` gives them.
        groups: dataclasses for fields of ``kind`` that leave them open.

    Raises:
        FormatError: an unknown key, a value that is not what its field may be, or values that do not fit each other.
    """
    shape = shape_of(kind, **groups)
    found = shape.check(values)

    def filled(owner: type) -> dict[str, Any]:
        return {key: getattr(found, key) for key, of in shape.owners.items() if of is owner}

    try:
        parts = {name: group(**filled(group)) for name, group in shape.groups.items()}
        return kind(**filled(kind), **parts)
    except ValueError as error:  # of __post_init__
        raise FormatError(f"{values.where}: {error}") from None


def build_from(kind: type[T], plain: Mapping[str, Any], where: str, **groups: type) -> T:
    """:func:`build` from values that stand in no file: ``where`` says whose they are."""
    return build(kind, Values(dict(plain), where=where), **groups)


def flat(settings: Any) -> dict[str, Any]:
    """All keys and their values, as a file would give them: what :func:`build_from` takes."""
    values: dict[str, Any] = {}
    for name, value in asdict(settings).items():
        values |= value if is_dataclass(getattr(settings, name)) else {name: value}
    return values


def shape_of(kind: type, **groups: type) -> Shape:
    """What ``kind`` and its groups let one set."""
    return _shape(kind, tuple(groups.items()))


@functools.lru_cache(maxsize=64)
def _shape(kind: type, chosen: tuple[tuple[str, type], ...]) -> Shape:
    from pydantic import TypeAdapter

    hints = get_type_hints(kind)
    groups = {f.name: hints[f.name] for f in fields(kind) if is_dataclass(hints[f.name])} | dict(chosen)
    settings: list[tuple[str, Any, Any]] = []
    owners: dict[str, type] = {}
    for owner in (kind, *groups.values()):
        hints = get_type_hints(owner, include_extras=True)
        own = [f for f in fields(owner) if f.init and not (owner is kind and f.name in groups)]
        settings += [(f.name, hints[f.name], _default(f)) for f in own]
        owners |= {f.name: owner for f in own}
    every = make_dataclass(kind.__name__, settings, namespace={"__pydantic_config__": _STRICT}, kw_only=True)
    adapter: TypeAdapter[Any] = TypeAdapter(every)
    return Shape(groups, adapter, adapter.json_schema(), owners)


def _default(f: Field[Any]) -> Any:
    if f.default_factory is not MISSING:
        return field(default_factory=f.default_factory)
    return field() if f.default is MISSING else field(default=f.default)


def _as_written(values: Values, places: list[Keys]) -> bool:
    """Replace values that must be text, but that YAML takes for something else, by their text; whether there were."""
    texts = {keys: text for keys in places if (text := values.source(keys).text) is not None}
    for keys, text in texts.items():
        source = values.source(keys)
        values.put(keys, text, {(): SettingPlace(source.file, source.line)})
    return bool(texts)


def place(plain: Any, location: tuple[Any, ...]) -> Keys:
    """The part of pydantic's location that is a path in ``plain``, with a last key that is missing there."""
    keys: list[str | int] = []
    for key in location:
        if isinstance(plain, dict):
            keys.append(key)
            if key not in plain:
                break
        elif isinstance(plain, list) and isinstance(key, int) and key < len(plain):
            keys.append(key)
        else:
            break
        plain = plain[key]
    return cast(Keys, tuple(keys))
