"""The JSON Lines format: one object an utterance.

``{"id": "a/b", "num_samples": 16000, "num_frames": 3, "codes": [[5, 0, 7], [1, 1, 2]], "durations": [1, 1, 1],
"labels": {"text": "hello", "speaker": "s1"}}``, with ``durations`` only where runs were merged, and ``labels`` only
where the corpus had any.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from codectok.errors import CodectokError, FormatError
from codectok.files.atomic import atomic_path
from codectok.store.flat import need_side_by_side
from codectok.store.info import Row, StoreFormat, StoreInfo


class JsonlFormat(StoreFormat):
    """The JSON Lines format: one object an utterance."""

    name = "jsonl"
    suffixes: tuple[str, ...] = (".jsonl",)
    bpe_ids = True

    def check(self, info: StoreInfo) -> None:
        """Refuse ``flatten``: a line holds all codebooks as they are."""
        need_side_by_side(self.name, info)

    def write_shard(self, path: Path, rows: Sequence[Row], info: StoreInfo) -> None:
        """Write one .jsonl file."""
        with atomic_path(path) as partial, open(partial, "w", encoding="utf-8", newline="\n") as f:
            for row in rows:
                key, tokens = row
                entry: dict[str, Any] = {
                    "id": key,
                    "num_samples": tokens.num_samples,
                    "num_frames": tokens.num_frames,
                    "codes": tokens.codes.tolist(),
                }
                if tokens.durations is not None:
                    entry["durations"] = tokens.durations.tolist()
                if labels := info.labels_of(row):
                    entry["labels"] = labels
                f.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def read_shard(self, path: Path, info: StoreInfo) -> Iterator[Row]:
        """Yield the rows of one .jsonl file."""
        with open(path, "rb") as f:  # bytes: a line ends at \n only, whatever Unicode thinks of U+2028
            for number, line in enumerate(f, start=1):
                try:
                    entry = json.loads(line)
                    runs = entry.get("durations")
                    codes = torch.tensor(entry["codes"], dtype=torch.int64)
                    tokens = info.tokens(codes, entry["num_samples"], None if runs is None else torch.tensor(runs))
                    yield Row(entry["id"], tokens, info.read_labels(entry.get("labels")))
                except CodectokError as e:
                    raise e.within(f"line {number} of {path}") from e
                except (ValueError, KeyError, TypeError, AttributeError) as e:
                    raise FormatError(f"line {number} of {path} is damaged: make the store again", path=path) from e
