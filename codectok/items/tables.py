"""Tables with a header: CSV and TSV, whatever separates their cells. The one place that reads the headers of tables."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from pathlib import Path

from codectok.errors import FormatError
from codectok.files.limits import bounded_lines
from codectok.items.columns import ALIASES, PATHS
from codectok.items.lines import bad_line, first_line, open_text, suffix_of

MAX_CELL = 2**28
"""Characters in a cell; the csv module's own limit is 131,072, which a transcript of an hour exceeds."""
_SEPARATORS = ",;\t|"
_KNOWN = frozenset((*PATHS, "id", *(name for known in ALIASES.values() for name in known)))


def table_rows(source: Path, needed: Collection[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number of each row's last line and its cells by column; cells that are missing are "".

    A .tsv is separated by tabs and has no quotes, as the tables of Common Voice; others are CSV, separated by comma,
    semicolon, tab or bar, as the header tells.

    Args:
        source: the table; it may be gzipped.
        needed: columns that it must have.

    Raises:
        FormatError: not UTF-8, a row with more cells than the header, a column that is missing or comes twice.
    """
    unquoted = suffix_of(source) == ".tsv"
    separator = "\t" if unquoted else separator_of(first_line(source))
    csv.field_size_limit(MAX_CELL)
    with open_text(source, newline="") as file:
        lines = bounded_lines(file, source)
        rows = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE if unquoted else csv.QUOTE_MINIMAL)
        try:
            names = [name.strip() for name in next(rows, [])]
            _check_header(source, names, needed)
            for cells in rows:
                if not cells:
                    continue
                if len(cells) > len(names):  # a comma in a path that is not quoted would cut the path
                    raise bad_line(source, rows.line_num, "has more columns than the header: quote or correct it")
                row = dict.fromkeys(names, "")
                row.update(zip(names, cells, strict=False))
                row.pop("", None)
                yield rows.line_num, row
        except csv.Error as e:
            raise FormatError(f"{source} cannot be read as a table: {e}", path=source) from e


def separator_of(header: str) -> str:
    r"""What separates the cells of a header: that which leaves the most names that corpora use, then the most names.

    >>> separator_of("id;path;text, as spoken")
    ';'
    """

    def found(separator: str) -> tuple[int, int]:
        names = next(csv.reader([header], delimiter=separator), [])
        return sum(name.strip().lower() in _KNOWN for name in names), len(names)

    return max(_SEPARATORS, key=found)


def _check_header(source: Path, names: list[str], needed: Collection[str]) -> None:
    twice = [name for name in dict.fromkeys(names) if name and names.count(name) > 1]
    if twice:
        raise FormatError(f"{source} has the column {twice[0]!r} twice: rename one", path=source)
    missing = [name for name in needed if name not in names]
    if missing:
        raise FormatError(
            f"{source} has no column {' and no column '.join(missing)} (its columns: {', '.join(names[:12])}): give a "
            f"table with the columns {', '.join(needed)}",
            path=source,
        )
