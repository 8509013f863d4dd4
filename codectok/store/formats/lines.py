"""Formats of lines: one stream of units, a text file for each fact, a line an utterance in manifest order.

A shard has a file of units, a file of ``num_samples`` (at the tokenizer's rate) and, where runs were merged, a file of
their lengths. fairseq, gslm, textless and espnet differ in the names of these files and in how an id is set before a
line. The file of units is what their own readers expect; the others let ours give back exactly what was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from codectok.errors import CodectokError, FormatError
from codectok.store.flat import flatten, need_one_stream, unflatten
from codectok.store.formats.label_files import LabelFile, ShardLabels, write_labels
from codectok.store.formats.line_file import LineFile, parse_numbers, spell_numbers, zip_named
from codectok.store.info import Row, StoreFormat, StoreInfo


class LineFormat(StoreFormat):
    """A format made of three files, the first with ids.

    Args:
        name: of the format.
        samples: file of ``num_samples``.
        units: file of units.
        runs: file of the runs' lengths.
        beside: the file of each label that the format has a place for.
    """

    def __init__(
        self,
        name: str,
        samples: LineFile,
        units: LineFile,
        runs: LineFile,
        beside: Mapping[str, LabelFile] | None = None,
    ) -> None:
        self.name = name
        self.samples, self.units, self.runs, self.beside = samples, units, runs, beside or {}
        self.suffixes: tuple[str, ...] = (samples.suffix, units.suffix, runs.suffix)
        self.label_suffixes: tuple[str, ...] = tuple(file.suffix for file in self.beside.values())
        self.labels: tuple[str, ...] | None = tuple(self.beside)

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
        write_labels(path, rows, info, self.beside)

    def read_shard(self, path: Path, info: StoreInfo) -> Iterator[Row]:
        """Yield the rows of one shard; codes are [K, T] again."""
        files = [self.samples, self.units, *([self.runs] if info.options.dedup else [])]
        labels = ShardLabels(path, info, self.beside)
        for number, (key, samples, units, *runs) in enumerate(zip_named(files, path), start=1):
            try:
                codes = unflatten(self.parse(units), info.codebook_sizes)
                tokens = info.tokens(codes, int(samples), parse_numbers(runs[0]) if runs else None)
                yield Row(key, tokens, labels.of(number - 1, key))
            except CodectokError as e:
                raise e.within(f"utterance {number} of {path}") from e
            except ValueError as e:
                raise FormatError(
                    f"utterance {number} of {path} is damaged ({e}): make the store again", path=path
                ) from e
