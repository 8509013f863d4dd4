"""A text file with a line an utterance, in manifest order: one fact each, most with the id before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.files.atomic import atomic_path
from codectok.store.ids import WHITE_SPACE, IdEscape
from codectok.store.info import sister


@dataclass(frozen=True)
class LineFile:
    """One of the files of a shard.

    Attributes:
        suffix: with the dot.
        separator: between the id and its value; "" where the lines have no ids.
        header: first line, if there is one.
    """

    suffix: str
    separator: str = ""
    header: str = ""

    @cached_property
    def ids(self) -> IdEscape:
        """How ids are spelled here."""
        if self.separator == " ":
            return IdEscape(WHITE_SPACE)
        return IdEscape(f"{self.separator}", r"^\s+|\s+$")

    def write(self, shard: Path, values: Iterable[tuple[str, str]]) -> None:
        """Write the file of that shard (any of its files) from ids and values."""
        with (
            atomic_path(sister(shard, self.suffix)) as partial,
            open(partial, "w", encoding="utf-8", newline="\n") as f,
        ):
            if self.header:
                f.write(f"{self.header}\n")
            for key, value in values:
                f.write(f"{self.ids.escape(key)}{self.separator}{value}\n" if self.separator else f"{value}\n")

    def read(self, shard: Path) -> Iterator[tuple[str | None, str]]:
        """Yield ids (None where the lines have none) and values.

        Raises:
            FormatError: a line that is cut off or malformed.
        """
        path = sister(shard, self.suffix)
        with open(path, "rb") as f:  # bytes: a line ends at \n only, whatever Unicode thinks of U+2028
            if self.header and f.readline() != f"{self.header}\n".encode():
                raise FormatError(f"{path} does not begin with {self.header!r}: make the store again", path=path)
            for number, line in enumerate(f, start=1):
                try:
                    text = line.decode("utf-8")
                    if not text.endswith("\n"):
                        raise ValueError("cut off")
                    if not self.separator:
                        yield None, text[:-1]
                        continue
                    key, found, value = text[:-1].partition(self.separator)
                    if not found:
                        raise ValueError("no separator")
                    yield self.ids.restore(key), value
                except ValueError as e:
                    raise FormatError(
                        f"utterance {number} of {path} is damaged ({e}): make the store again", path=path
                    ) from e


def zip_named(files: Sequence[LineFile], shard: Path) -> Iterator[tuple[str, ...]]:
    """Yield (id, value of each file); the first file has ids.

    Raises:
        FormatError: files of different lengths, or ids that differ.
    """
    try:
        for lines in zip(*(file.read(shard) for file in files), strict=True):
            key = lines[0][0]
            if key is None or any(other not in (None, key) for other, _ in lines):
                raise FormatError(
                    f"the files of {shard} are of different utterances at {key!r}: make the store again", path=shard
                )
            yield key, *(value for _, value in lines)
    except FormatError:
        raise
    except ValueError as e:
        raise FormatError(f"the files of {shard} differ in length: make the store again", path=shard) from e


def spell_numbers(values: Tensor) -> str:
    """Integers [N] with single spaces between them."""
    return " ".join(map(str, values.tolist()))


def parse_numbers(line: str) -> Tensor:
    """int64 [N], the inverse of ``spell_numbers``."""
    return torch.from_numpy(np.array(line.split(), dtype=np.int64))
