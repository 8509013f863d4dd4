"""The fairseq format: a single stream of units a line, as HuBERT and unit-LM recipes read it.

A shard is ``00000.tsv`` (the root line ``.``, then ``id<TAB>num_samples``), ``00000.km`` (units, a line an utterance,
in the order of the .tsv) and, where runs were merged, ``00000.dur`` (their lengths). ``dict.km.txt`` stands beside
``store.json``: ``<unit> 1`` for each unit.

With ``flatten``, K codebooks become one stream, frame by frame: ``c0[0], c1[0] + n0, c2[0] + n0 + n1, c0[1], ...``.
Codebook k begins at unit ``n0 + ... + n(k-1)``, so a unit names its codebook, and the reader undoes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, zip_longest
from pathlib import Path

import torch
from torch import Tensor

from codectok.atomic import atomic_path
from codectok.errors import CodectokError, FormatError
from codectok.store.base import Row, StoreInfo


class FairseqFormat:
    """See the module's docstring."""

    name = "fairseq"
    suffixes: tuple[str, ...] = (".tsv", ".km", ".dur")

    def check(self, info: StoreInfo) -> None:
        """Refuse more than one codebook, unless flattened."""
        k = len(info.codebook_sizes)
        if k > 1 and not info.options.flatten:
            raise FormatError(
                f"fairseq holds one stream of units and there are {k} codebooks: use --codebooks 1 for the first only, "
                "or --flatten to interleave them"
            )

    def write_shard(self, path: Path, rows: Sequence[Row], info: StoreInfo) -> None:
        """Write the .tsv, .km and .dur files."""
        lines: dict[str, list[str]] = {suffix: [] for suffix in self.suffixes}
        lines[".tsv"].append(".")
        for key, tokens in rows:
            if any(c in key for c in "\t\n\r"):
                raise FormatError(f"fairseq cannot hold the id {key!r} with a tab or line end: use another format")
            lines[".tsv"].append(f"{key}\t{tokens.num_samples}")
            lines[".km"].append(" ".join(map(str, flatten(tokens.codes, info.codebook_sizes).tolist())))
            runs = [] if tokens.durations is None else tokens.durations.tolist()
            lines[".dur"].append(" ".join(map(str, runs)))
        if not info.options.dedup:
            del lines[".dur"]
        for suffix, text in lines.items():
            with atomic_path(path.with_suffix(suffix)) as partial:
                partial.write_text("".join(f"{line}\n" for line in text), encoding="utf-8", newline="\n")

    def read_shard(self, path: Path, info: StoreInfo) -> Iterator[Row]:
        """Yield the rows of one shard, given its .tsv; codes are [K, T] again."""
        items, units = _lines(path), _lines(path.with_suffix(".km"))
        runs = _lines(path.with_suffix(".dur")) if info.options.dedup else None
        if next(items, None) is None:
            raise FormatError(f"{path} has no root line: make the store again")
        for number, (item, line) in enumerate(zip_longest(items, units), start=1):
            if item is None or line is None:
                raise FormatError(f"{path} and its .km differ in length: make the store again")
            try:
                key, samples = item.split("\t")
                codes = unflatten(_ints(line), info.codebook_sizes)
                yield key, info.tokens(codes, int(samples), None if runs is None else _ints(next(runs)))
            except CodectokError as e:
                raise type(e)(f"utterance {number} of {path}: {e}") from e
            except (ValueError, StopIteration) as e:
                raise FormatError(f"utterance {number} of {path} is damaged: make the store again") from e

    def write_extras(self, folder: Path, info: StoreInfo) -> None:
        """Write ``dict.km.txt``."""
        with atomic_path(folder / "dict.km.txt") as partial:
            partial.write_text("".join(f"{u} 1\n" for u in range(sum(info.codebook_sizes))), newline="\n")


def flatten(codes: Tensor, codebook_sizes: Sequence[int]) -> Tensor:
    """Codes [K, T] -> units [K * T], frame by frame, each codebook in its own range of units."""
    return (codes + _starts(codebook_sizes)).t().reshape(-1)


def unflatten(units: Tensor, codebook_sizes: Sequence[int]) -> Tensor:
    """The inverse of ``flatten``: units [K * T] -> codes [K, T].

    Raises:
        FormatError: a number of units that is no multiple of K.
    """
    k = len(codebook_sizes)
    if len(units) % k:
        raise FormatError(f"{len(units)} units do not divide into {k} codebooks: make the store again")
    return units.reshape(-1, k).t() - _starts(codebook_sizes)


def _starts(codebook_sizes: Sequence[int]) -> Tensor:
    return torch.tensor(list(accumulate(codebook_sizes, initial=0))[:-1])[:, None]


def _lines(path: Path) -> Iterator[str]:
    with open(path, encoding="utf-8", newline="\n") as f:
        for line in f:
            yield line.removesuffix("\n")


def _ints(line: str) -> Tensor:
    return torch.tensor([int(u) for u in line.split()], dtype=torch.int64)
