"""Formats of lines: one stream of units, a text file for each fact, a line an utterance in manifest order.

A shard has a file of units, a file of ``num_samples`` (at the tokenizer's rate) and, where runs were merged, a file of
their lengths. fairseq, gslm, textless and espnet differ in the names of these files and in how an id is set before a
line. The file of units is what their own readers expect; the others let ours give back exactly what was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from codectok.errors import CodectokError, FormatError
from codectok.files.atomic import atomic_path
from codectok.store.base import Row, StoreInfo, sister
from codectok.store.flat import flatten, need_one_stream, unflatten
from codectok.store.ids import WHITE_SPACE, IdEscape


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
                raise FormatError(f"{path} does not begin with {self.header!r}: make the store again")
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
                    raise FormatError(f"utterance {number} of {path} is damaged ({e}): make the store again") from e


class LineFormat:
    """A format made of three files, the first with ids.

    Args:
        name: of the format.
        samples: file of ``num_samples``.
        units: file of units.
        runs: file of the runs' lengths.
    """

    extras: tuple[str, ...] = ()

    def __init__(self, name: str, samples: LineFile, units: LineFile, runs: LineFile) -> None:
        self.name = name
        self.samples, self.units, self.runs = samples, units, runs
        self.suffixes: tuple[str, ...] = (samples.suffix, units.suffix, runs.suffix)

    def check(self, info: StoreInfo) -> None:
        """Refuse more than one codebook, unless flattened."""
        need_one_stream(self.name, info)

    def spell(self, units: Tensor) -> str:
        """Units [N] as they stand in a line."""
        return spell_numbers(units)

    def parse(self, line: str) -> Tensor:
        """The inverse of ``spell``."""
        return parse_numbers(line)

    def write_shard(self, path: Path, rows: Sequence[Row], info: StoreInfo) -> None:
        """Write the two or three files."""
        sizes = info.codebook_sizes
        self.units.write(path, ((key, self.spell(flatten(tokens.codes, sizes))) for key, tokens in rows))
        if info.options.dedup:
            runs = ((key, torch.empty(0) if t.durations is None else t.durations) for key, t in rows)
            self.runs.write(path, ((key, spell_numbers(lengths)) for key, lengths in runs))
        self.samples.write(path, ((key, str(tokens.num_samples)) for key, tokens in rows))

    def read_shard(self, path: Path, info: StoreInfo) -> Iterator[Row]:
        """Yield the rows of one shard; codes are [K, T] again."""
        files = [self.samples, self.units, *([self.runs] if info.options.dedup else [])]
        for number, (key, samples, units, *runs) in enumerate(zip_named(files, path), start=1):
            try:
                codes = unflatten(self.parse(units), info.codebook_sizes)
                yield key, info.tokens(codes, int(samples), parse_numbers(runs[0]) if runs else None)
            except CodectokError as e:
                raise type(e)(f"utterance {number} of {path}: {e}") from e
            except ValueError as e:
                raise FormatError(f"utterance {number} of {path} is damaged ({e}): make the store again") from e

    def write_extras(self, folder: Path, info: StoreInfo) -> None:
        """Nothing."""


def zip_named(files: Sequence[LineFile], shard: Path) -> Iterator[tuple[str, ...]]:
    """Yield (id, value of each file); the first file has ids.

    Raises:
        FormatError: files of different lengths, or ids that differ.
    """
    try:
        for lines in zip(*(file.read(shard) for file in files), strict=True):
            key = lines[0][0]
            if key is None or any(other not in (None, key) for other, _ in lines):
                raise FormatError(f"the files of {shard} are of different utterances at {key!r}: make the store again")
            yield key, *(value for _, value in lines)
    except FormatError:
        raise
    except ValueError as e:
        raise FormatError(f"the files of {shard} differ in length: make the store again") from e


def spell_numbers(values: Tensor) -> str:
    """Integers [N] with single spaces between them."""
    return " ".join(map(str, values.tolist()))


def parse_numbers(line: str) -> Tensor:
    """int64 [N], the inverse of ``spell_numbers``."""
    return torch.from_numpy(np.array(line.split(), dtype=np.int64))
