"""Lists of paths: plain, and fairseq's with a root line and lengths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from codectok.items.item import Item
from codectok.items.readers.lines import bad_line, make_item, numbered_lines


def read_list(source: Path, root: str) -> Iterator[Item]:
    """A path a line; blank lines are skipped."""
    for number, line in numbered_lines(source):
        yield make_item(source, number, None, line.strip(), root)


def read_fairseq(source: Path, root: str) -> Iterator[Item]:
    """A root line, then ``path<TAB>num_samples``."""
    for number, line in numbered_lines(source):
        if number == 1:
            continue
        path, *rest = line.split("\t")
        if len(rest) > 1 or (rest and not rest[0].strip().isdigit()):
            raise bad_line(source, number, "must be path<TAB>num_samples")
        yield make_item(source, number, None, path, root)
