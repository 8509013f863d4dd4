"""Names of the store formats, for options of commands: no format is imported."""

from __future__ import annotations

from codectok import registry

FORMATS = tuple(registry.names("store_formats"))
SINGLE_STREAM = ("fairseq", "gslm", "textless", "espnet")
"""Of codectok's own, those that hold one stream of units: one codebook, or several interleaved by ``--flatten``."""
BPE_FORMATS = ("parquet", "jsonl", "fairseq", "gslm")
"""Of codectok's own, those that hold BPE ids."""
