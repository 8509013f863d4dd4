"""The fairseq format: a single stream of units a line, as HuBERT and unit-LM recipes read it.

A shard is ``00000.tsv`` (the root line ``.``, then ``id<TAB>num_samples``), ``00000.km`` (units, a line an utterance,
in the order of the .tsv) and, where runs were merged, ``00000.dur`` (their lengths). ``dict.km.txt`` stands beside
``store.json``: ``<unit> 1`` for each unit.
"""

from __future__ import annotations

from pathlib import Path

from codectok.files.atomic import atomic_path
from codectok.store.base import StoreInfo
from codectok.store.lines import LineFile, LineFormat

MANIFEST = LineFile(".tsv", "\t", header=".")
"""The fairseq manifest, also what GSLM and textlesslib start from: the root, then path and samples."""


class FairseqFormat(LineFormat):
    """See the module's docstring."""

    extras: tuple[str, ...] = ("dict.km.txt",)

    def __init__(self) -> None:
        super().__init__("fairseq", MANIFEST, LineFile(".km"), LineFile(".dur"))

    def write_extras(self, folder: Path, info: StoreInfo) -> None:
        """Write ``dict.km.txt``."""
        with atomic_path(folder / "dict.km.txt") as partial:
            partial.write_text("".join(f"{u} 1\n" for u in range(sum(info.codebook_sizes))), newline="\n")
