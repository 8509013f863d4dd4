"""The GSLM format (Lakhotia et al., 2021): ``name|units``.

A shard is ``00000.txt`` (``103-1240-0000|17 17 296 296 20``), ``00000.tsv``, the manifest with ``num_samples`` that
such a quantization starts from, and, where runs were merged, ``00000.dur`` with their lengths. ``cat shards/*.txt`` is
one ``quantized.txt``.
"""

from __future__ import annotations

from codectok.store.formats.fairseq import MANIFEST
from codectok.store.formats.line_file import LineFile
from codectok.store.formats.lines import LineFormat


class GslmFormat(LineFormat):
    """The GSLM format (Lakhotia et al., 2021): ``name|units``."""

    bpe_ids = True

    def __init__(self) -> None:
        super().__init__("gslm", MANIFEST, LineFile(".txt", "|"), LineFile(".dur"))
