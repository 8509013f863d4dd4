"""Words and their times from alignments: CTM, Praat TextGrid, and the tables of the Montreal Forced Aligner (MFA).

Each utterance becomes an item without audio, whose labels are ``words``, the JSON list [[word, start, end], ...] in s,
and ``text``. Its id is the first column of a CTM, else the file's path in its folder, without the ending: what a store
of the audio beside it has.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

from codectok.errors import FormatError
from codectok.items.item import Item
from codectok.items.lines import bad_line, make_item, numbered_lines

Timed = tuple[str, float, float]
SUFFIXES = (".textgrid", ".csv", ".json")
"""Of a file an utterance; only those of MFA's form are taken."""
SILENCES = ("", "<eps>", "<sil>", "sil", "sp", "<s>", "</s>")
"""Labels that are no words."""
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|\[[^\]\n]*\]|(?<![\w.])(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?![\w.])')
_MFA = ("Begin", "End", "Label", "Type")


def is_alignment(path: Path) -> bool:
    """Whether this is a CTM, an alignment of one utterance, or a folder with a TextGrid or table of MFA in it."""
    if path.is_dir():
        return next(_files(path), None) is not None
    return path.suffix.lower() == ".ctm" or path.suffix.lower() == ".textgrid"


def aligned_items(path: Path) -> Iterator[tuple[int, Item]]:
    """Yield an item an utterance, with its number from 1.

    Raises:
        FormatError: a file that cannot be read as what its ending says, with the line where it has lines.
    """
    if path.is_dir():
        for number, file in enumerate(_files(path), 1):
            key = file.relative_to(path).with_suffix("").as_posix()
            yield number, _item(path, key, _one(file))
    elif path.suffix.lower() == ".ctm":
        for number, (key, words) in enumerate(_ctm(path).items(), 1):
            yield number, _item(path, key, words)
    else:
        yield 1, _item(path, path.stem, _one(path))


def words_label(words: list[Timed]) -> str:
    """The label of some words."""
    return json.dumps([[word, round(start, 4), round(end, 4)] for word, start, end in words], ensure_ascii=False)


def _item(source: Path, key: str, words: list[Timed]) -> Item:
    kept = sorted((w for w in words if w[0].strip().lower() not in SILENCES), key=lambda w: w[1:])
    if any(not (math.isfinite(start) and 0 <= start <= end < math.inf) for _, start, end in kept):
        raise FormatError(f"{source}: {key} has a word that ends before it begins: align it again", path=source)
    labels = {"words": words_label(kept), "text": " ".join(word for word, _, _ in kept)}
    return make_item(source, None, key, key, str(source.parent), labels=labels)


def _files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        kind = file.suffix.lower()
        if kind == ".textgrid" or (kind == ".csv" and _is_mfa_table(file)) or (kind == ".json" and _tiers(file)):
            yield file


def _one(file: Path) -> list[Timed]:
    match file.suffix.lower():
        case ".csv":
            with open(file, encoding="utf-8", newline="") as f:
                rows = [row for row in csv.DictReader(f) if row["Type"] == "words"]
            return [(row["Label"], float(row["Begin"]), float(row["End"])) for row in rows]
        case ".json":
            tiers = _tiers(file)
            return _of_tiers({n: [(w, float(a), float(b)) for a, b, w in t["entries"]] for n, t in tiers.items()}, file)
        case _:
            return _of_tiers(read_textgrid(file), file)


def _is_mfa_table(file: Path) -> bool:
    with open(file, encoding="utf-8", errors="replace") as f:
        return tuple(f.readline().strip().split(",")[:4]) == _MFA


def _tiers(file: Path) -> dict[str, dict[str, list[tuple[float, float, str]]]]:
    """Of MFA's JSON; {} of any other."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))["tiers"]
        return found if all(isinstance(tier["entries"], list) for tier in found.values()) else {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _ctm(path: Path) -> dict[str, list[Timed]]:
    found: dict[str, list[Timed]] = {}
    channels: dict[str, str] = {}
    for number, line in numbered_lines(path):
        if not line.strip() or line.startswith(";;"):
            continue
        cells = line.split()
        try:
            key, channel, start, duration, word = cells[:5]
            begin, length = float(start), float(duration)
        except ValueError:
            raise bad_line(path, number, "is no CTM: give file, channel, start, duration, word") from None
        if channels.setdefault(key, channel) != channel:
            raise bad_line(
                path, number, f"is of a second channel of {key}: give a CTM a channel, with ids of their own"
            )
        found.setdefault(key, []).append((word, begin, begin + length))
    return found


def read_textgrid(path: Path) -> dict[str, list[Timed]]:
    """The interval tiers of a TextGrid, in its long or short form, as UTF-8 or UTF-16.

    Raises:
        FormatError: it is none, or cut off.
    """
    data = path.read_bytes()
    text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", errors="replace")
    # Indices in brackets stand beside the values of the long form, and nowhere else outside quotes.
    tokens = [m[1].replace('""', '"') if m[1] is not None else float(m[2]) for m in _TOKEN.finditer(text)
              if not m[0].startswith("[")]  # fmt: skip
    at = iter(tokens)
    tiers: dict[str, list[Timed]] = {}
    try:
        if (next(at), next(at)) != ("ooTextFile", "TextGrid"):
            raise FormatError(f"{path} is no TextGrid: give one as Praat writes it", path=path)
        _, _, size = (_number(next(at)) for _ in range(3))
        for _ in range(int(size)):
            kind, name = next(at), str(next(at))
            _, _, count = (_number(next(at)) for _ in range(3))
            rows: list[Timed] = []
            for _ in range(int(count)):
                start = _number(next(at))
                end = _number(next(at)) if kind == "IntervalTier" else start
                rows.append((str(next(at)), start, end))
            if kind == "IntervalTier":
                tiers[name] = rows
    except (StopIteration, TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"{path} is damaged or no TextGrid: save it again", path=path) from error
    return tiers


def _number(token: str | float) -> float:
    """NaN where a text stands: no count, and no time of a word."""
    return math.nan if isinstance(token, str) else token


def _of_tiers(tiers: dict[str, list[Timed]], path: Path) -> list[Timed]:
    """The words of the tier that is called so (MFA: one a speaker), or of the only one."""
    chosen = [rows for name, rows in tiers.items() if re.search(r"(^|[ _-])words?$", name.strip().lower())]
    if not chosen and len(tiers) == 1:
        chosen = list(tiers.values())
    if not chosen:
        raise FormatError(f"{path} has the tiers {', '.join(tiers) or 'none'}: name that of the words words", path=path)
    return [row for rows in chosen for row in rows]
