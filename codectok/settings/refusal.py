"""What is said of settings that are refused: file, line, key, what was given and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from codectok.errors import FormatError
from codectok.settings.values import Values, did_you_mean
from codectok.settings.yaml_text import Keys, dotted

Schema = Mapping[str, Any]
_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")


def refusal(values: Values, schema: Schema, found: Sequence[tuple[str, Keys, Any]]) -> FormatError:
    """For the first of pydantic's errors, one line, each with its type and its place; unknown keys come first.

    Args:
        values: those that were refused.
        schema: of JSON, for all of them.
        found: type, place and the error itself, of each.
    """
    kind, keys, error = min(found, key=lambda e: e[0] not in _UNKNOWN)
    where, name = values.source(keys), dotted(keys)
    path = where.file or None
    if kind in _UNKNOWN:
        return unknown(values, keys, list(schema_at(schema, keys[:-1], schema).get("properties", {})))
    if kind == "missing":
        missing = [str(k[-1]) for t, k, _ in found if t == "missing" and k[:-1] == keys[:-1]]
        given = ", ".join(f"{k}: {allowed(schema_at(schema, (*keys[:-1], k), schema), schema)}" for k in missing)
        what = f"{where}: {dotted(keys[:-1]) or 'it'} has no {', '.join(missing)}: give {given}"
        return FormatError(what, path=path, key=name, allowed=allowed(schema_at(schema, keys, schema), schema))
    value = values.get(keys)[0]
    if kind == "value_error":
        return FormatError(f"{where}: {name}: {error['ctx']['error']}", path=path, key=name, given=value)
    shown = where.text if where.text is not None else "null" if value is None else repr(value)
    shown = shown if len(shown) <= 100 else f"{shown[:100]}..."
    right = allowed(schema_at(schema, keys, schema), schema)
    what = f"{where}: {name} is {shown}: give {right}"
    return FormatError(what, path=path, key=name, given=value, allowed=right)


def unknown(values: Values, keys: Keys, known: Sequence[str]) -> FormatError:
    """For a key that is none of ``known``, one line."""
    near = did_you_mean(str(keys[-1]), known).strip(" ()")
    every = f"there are {', '.join(known)}" if len(known) <= 12 else f"--explain lists all {len(known)}"
    where = values.source(keys)
    what = f"{where}: unknown key {dotted(keys)!r}: {near or every}"
    return FormatError(what, path=where.file or None, key=dotted(keys), allowed=", ".join(known))


def allowed(schema: Schema, whole: Schema) -> str:
    """In words, what a JSON schema allows."""
    schema = _followed(schema, whole)
    if "anyOf" in schema:
        first, *others = schema["anyOf"]
        rest = ["a list of such" if s.get("items") == first else allowed(s, whole) for s in others]
        return ", or ".join([allowed(first, whole), *rest])
    if "enum" in schema or "const" in schema:
        return _or([str(v) for v in schema.get("enum", [schema.get("const")])])
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return ("a whole number" if kind == "integer" else "a number") + _range(schema)
    if kind == "array":
        item = allowed(schema["items"], whole) if schema.get("items") else "anything"
        least = f" of {schema['minItems']} or more" if schema.get("minItems") else ""
        return f"a list{least}, each {item}"
    if kind == "object":
        names = ", ".join(schema.get("properties", {}))
        return "key: value pairs" + (f" of {names}" if names else "")
    return {"boolean": "true or false", "string": "text", "null": "null"}.get(str(kind), "anything")


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    words = [f"of {low:g} or more"] if low is not None else [f"of {high:g} or less"] if high is not None else []
    words += [f"above {schema['exclusiveMinimum']:g}"] if "exclusiveMinimum" in schema else []
    words += [f"below {schema['exclusiveMaximum']:g}"] if "exclusiveMaximum" in schema else []
    return " " + " and ".join(words) if words else ""


def _or(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _followed(schema: Schema, whole: Schema) -> Schema:
    return whole["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def schema_at(schema: Schema, keys: Keys, whole: Schema) -> Schema:
    """The schema of the value at a path."""
    for key in keys:
        choices = [_followed(s, whole) for s in _followed(schema, whole).get("anyOf", [schema])]
        inner = [s.get("properties", {}).get(key) if isinstance(key, str) else s.get("items") for s in choices]
        schema = next((s for s in inner if s), {})
    return _followed(schema, whole)
