"""Names of the store formats, apart from the formats so that ``--help`` need not import them; a test compares."""

from __future__ import annotations

FORMATS = ("parquet", "jsonl", "fairseq", "gslm", "textless", "espnet", "kaldi", "webdataset", "lhotse")
SINGLE_STREAM = ("fairseq", "gslm", "textless", "espnet")
"""Those that hold one stream of units: one codebook, or several interleaved by ``--flatten``."""
