"""Lhotse's cut and recording manifests (.jsonl, .jsonl.gz), read without lhotse."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from codectok.errors import FormatError
from codectok.items.columns import labels_of
from codectok.items.entries import json_object
from codectok.items.item import Item
from codectok.items.labels import Label
from codectok.items.lines import bad_line, make_item, numbered_lines
from codectok.items.times import BadTime, TimeColumn, offset_and_duration


def read_lhotse(source: Path, root: str) -> Iterator[Item]:
    """Recordings, and cuts of one recording (MonoCut), whose audio lies in files; a cut's channel alone is read.

    Relative paths are relative to the manifest's folder. Labels are those of a cut's supervisions, and its custom ones.
    """
    for number, line in numbered_lines(source, "\n"):
        entry = json_object(source, number, line)
        try:
            yield _recording(source, number, entry, root) if "sources" in entry else _cut(source, number, entry, root)
        except FormatError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as e:
            raise bad_line(source, number, f"is not a cut or recording of lhotse ({e!r}): write it again") from e


def _cut(source: Path, number: int, cut: dict[str, Any], root: str) -> Item:
    kind = cut.get("type", "MonoCut")
    if kind != "MonoCut":
        raise bad_line(source, number, f"is a {kind}, and only MonoCut is read: save its audio with lhotse first")
    recording = cut.get("recording")
    if not recording:
        raise bad_line(source, number, "is a cut without a recording (features only?): codectok reads audio")
    offset, duration = _times(source, number, cut)
    whole = offset == 0 and Decimal(str(duration)) == Decimal(str(recording["duration"]))
    path, member = _source(source, number, recording, cut.get("channel", 0))
    key, labels = str(cut["id"]), _labels(cut)
    if whole:
        return make_item(source, number, key, path, root, member=member, labels=labels)
    return make_item(source, number, key, path, root, offset, duration, member, labels)


def _times(source: Path, number: int, cut: dict[str, Any]) -> tuple[float, float]:
    columns = [TimeColumn("start", "start", "s"), TimeColumn("duration", "duration", "s")]
    try:
        offset, duration = offset_and_duration(columns, cut, lambda: None)
    except BadTime as e:
        raise bad_line(source, number, str(e)) from None
    if offset is None or duration is None:
        raise KeyError("start and duration")
    return offset, duration


def _labels(cut: dict[str, Any]) -> dict[str, Label]:
    """Of one supervision, or what several have in common, their texts in order, and all of them as they are."""
    found: dict[str, Any] = {}
    spoken = sorted(cut.get("supervisions") or (), key=lambda s: float(s["start"]))
    for name in ("text", "speaker", "language", "gender"):
        values = [s[name] for s in spoken if s.get(name) is not None]
        if name == "text" and values:
            found[name] = " ".join(values)
        elif len(set(values)) == 1:
            found[name] = values[0]
    if len(spoken) > 1:
        found["supervisions"] = spoken
    for one in spoken if len(spoken) == 1 else ():
        found |= {"alignment": one.get("alignment"), **(one.get("custom") or {})}
    arrays = {"array", "storage_type", "sampling_rate"}  # of features, and of recordings: no labels
    own = (cut.get("custom") or {}).items()
    found |= {k: v for k, v in own if not (isinstance(v, dict) and arrays & v.keys())}
    return labels_of(found, contained=True)


def _recording(source: Path, number: int, recording: dict[str, Any], root: str) -> Item:
    path, member = _source(source, number, recording, None)
    return make_item(source, number, str(recording["id"]), path, root, member=member)


def _source(source: Path, number: int, recording: dict[str, Any], channel: Any) -> tuple[str, str | None]:
    """Path and channel; a channel of None is all of them, which must lie in one file."""
    changed = [t.get("name", "") if isinstance(t, dict) else str(t) for t in recording.get("transforms") or ()]
    if changed:
        raise bad_line(source, number, f"changes its audio ({', '.join(changed)}): save the audio with lhotse first")
    sources = recording["sources"]
    if channel is None:
        if len(sources) != 1:
            raise bad_line(source, number, f"has {len(sources)} sources: make a cut for each channel")
        chosen = sources[0]
    elif isinstance(channel, int):
        chosen = next((s for s in sources if channel in s["channels"]), None)
        if chosen is None:
            raise bad_line(source, number, f"asks for channel {channel}, which its recording does not have")
    else:
        raise bad_line(source, number, f"asks for the channels {channel}: give one")
    if chosen["type"] != "file":
        raise _no_file(source, number, chosen["type"])
    member = None
    if channel is not None and len(chosen["channels"]) > 1:
        member = f"channel:{chosen['channels'].index(channel)}"
    return chosen["source"], member


def _no_file(source: Path, number: int, kind: str) -> FormatError:
    advice = "codectok runs no commands" if kind == "command" else "only type file is read"
    return bad_line(source, number, f"has a source of type {kind}, and {advice}: save the audio to files")
