"""The format of textlesslib (Kharitonov et al., 2022), with names before the lines.

A shard is ``00000.units`` (``103-1240-0000<TAB>71 12 56 57``), where runs were merged ``00000.durations`` (the same
with their lengths in frames), and ``00000.tsv``, the manifest with ``num_samples``. ``cut -f 2`` drops the names.
"""

from __future__ import annotations

from codectok.store.formats.fairseq import MANIFEST
from codectok.store.formats.line_file import LineFile
from codectok.store.formats.lines import LineFormat


class TextlessFormat(LineFormat):
    """The format of textlesslib (Kharitonov et al., 2022), with names before the lines."""

    def __init__(self) -> None:
        super().__init__("textless", MANIFEST, LineFile(".units", "\t"), LineFile(".durations", "\t"))
