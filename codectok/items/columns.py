"""What the columns of a manifest are: the one table of names under which corpora give audio, id, times and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from codectok.items.labels import Label, as_label
from codectok.items.times import TimeColumn, is_time, time_column

PATHS = (
    "path", "audio", "audio_filepath", "wav", "file", "file_path", "filepath", "filename", "file_name", "audio_path",
    "audio_file", "wav_path",
)  # fmt: skip
"""Names of the column with the audio file; the first that a line has counts."""
ALIASES = {
    "text": (
        "text", "transcript", "transcription", "sentence", "normalized_text", "text_normalized", "raw_text",
        "text_original", "original_text",
    ),
    "speaker": ("speaker", "speaker_id", "spk", "spk_id", "client_id", "speakerid"),
    "language": ("language", "lang", "locale", "language_id", "lang_id"),
}  # fmt: skip
"""Labels that have one name whatever the manifest called them; the first that a line has counts, and any other of
these columns keeps its own name."""
RATES = ("sample_rate", "sampling_rate", "samplerate", "sr")
"""Names of the column with the rate that times in samples are at; without, it is the file's."""


@dataclass(frozen=True)
class Columns:
    """What each column of a manifest is; upper and lower case are the same.

    Attributes:
        paths: that may hold the audio file, in the order in which they count.
        id: that holds the id.
        member: that may hold a member of a container.
        times: that hold times.
        named: the columns that may hold text, speaker and language, in the order in which they count.
        others: all that are left, and have names.
        rates: that may hold the rate of times in samples.
    """

    paths: tuple[str, ...]
    id: str | None
    member: str | None
    times: tuple[TimeColumn, ...]
    named: tuple[tuple[str, tuple[str, ...]], ...]
    others: tuple[str, ...]
    rates: tuple[str, ...]


@lru_cache(maxsize=1024)
def columns_of(names: tuple[str, ...]) -> Columns:
    """What the columns of these names are."""
    lower: dict[str, str] = {}
    for name in names:
        lower.setdefault(name.strip().lower(), name)
    chosen = {kind: tuple(lower[n] for n in known if n in lower) for kind, known in ALIASES.items()}
    taken = {lower.get("id"), lower.get("member"), *(n for known in chosen.values() for n in known)}
    times = tuple(c for n in names if n not in taken and (c := time_column(n)) is not None)
    return Columns(
        paths=tuple(lower[n] for n in PATHS if n in lower),
        id=lower.get("id"),
        member=lower.get("member"),
        times=times,
        named=tuple((kind, known) for kind, known in chosen.items() if known),
        others=tuple(n for n in names if n.strip() and n not in taken),
        rates=tuple(lower[n] for n in RATES if n in lower),
    )


def labels_of(entry: Mapping[str, Any], used: Sequence[str | None] = (), contained: bool = False) -> dict[str, Label]:
    """The labels of a line: all columns but those that say which audio it is.

    Args:
        entry: the line.
        used: columns that said so.
        contained: the audio lies in the line itself, so that times are of something else, and labels too.
    """
    columns = columns_of(tuple(entry))
    found: dict[str, Label] = {}
    spent = set(used)
    for kind, known in columns.named:
        # An empty text is still one, where no other column has more.
        chosen, empty = None, None
        for name in known:
            value = None if name in spent else as_label(entry[name])
            if value == "":
                empty = empty or name
            elif value is not None:
                chosen, found[kind] = name, value
                break
        if chosen is None and empty is not None:
            chosen, found[kind] = empty, ""
        spent.add(chosen)
    if not contained:
        spent.update(c.name for c in columns.times if is_time(c, entry[c.name]))
    rest = (*(n for _, known in columns.named for n in known), *columns.others, columns.id, columns.member)
    for column in rest:
        if column is not None and column not in spent and (value := as_label(entry[column])) is not None:
            found.setdefault(column.strip(), value)
    return found
