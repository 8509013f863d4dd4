"""Rows of a store that holds BPE ids: what a format writes and reads, and the Tokens that they are of.

To a format they are one codebook of the BPE's vocabulary; lengths of merged runs, fewer or more than the ids, stand
where those of codes do. Whoever reads the store gets Tokens, and need not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from codectok.store.info import Row, StoreInfo
from codectok.tokens import Tokens
from codectok.transforms.merged import Merged

ROWS = 512
"""Rows whose ids are undone together."""


@dataclass(frozen=True, eq=False)
class StoredIds:
    """Instead of Tokens: ``codes`` int64 [1, N] are ids; ``num_frames`` is not known where they were just read."""

    codes: Tensor
    num_samples: int
    durations: Tensor | None
    num_frames: int = 0


@dataclass(frozen=True)
class StoredInfo(StoreInfo):
    """What a format is told of such a store."""

    units: StoreInfo | None = None

    def to_json(self) -> dict[str, Any]:
        """Of the store, not of its ids."""
        return super().to_json() if self.units is None else self.units.to_json()

    def tokens(self, codes: Any, num_samples: int, durations: Any) -> Tokens:
        """The ids of one row, to be undone by ``read_rows``."""
        runs = None if durations is None else torch.as_tensor(durations)
        return cast(Tokens, StoredIds(torch.as_tensor(codes), num_samples, runs))


def stored_info(info: StoreInfo) -> StoreInfo:
    """What a format is told: of a store without BPE, the same."""
    if info.transform is None:
        return info
    facts = {f.name: getattr(info, f.name) for f in fields(StoreInfo)}
    return StoredInfo(**facts | {"codebook_sizes": info.transform.sizes}, units=info)


def stored_rows(info: StoreInfo, rows: Sequence[Row]) -> Sequence[Row]:
    """Rows as a format writes them."""
    if info.transform is None:
        return rows
    merged = info.transform.units().encode_batch([row.tokens for row in rows])
    return [
        Row(row.id, cast(Tokens, StoredIds(m.ids[None], m.num_samples, m.durations, row.tokens.num_frames)), row.labels)
        for row, m in zip(rows, merged, strict=True)
    ]


def read_rows(info: StoreInfo, rows: Iterable[Row]) -> Iterator[Row]:
    """The inverse: rows with Tokens, deduplicated where the store is.

    Raises:
        CodeRangeError, FormatError: ids that are not of the BPE, or spell other frames than their durations are of.
    """
    if info.transform is None:
        yield from rows
        return
    bpe, source = info.transform.units(), iter(rows)
    while chunk := list(islice(source, ROWS)):
        merged = [_merged(info, row) for row in chunk]
        for row, tokens in zip(chunk, bpe.decode_batch(merged), strict=True):
            yield Row(row.id, tokens, row.labels)


def _merged(info: StoreInfo, row: Row) -> Merged:
    assert info.transform is not None
    bpe, ids = info.transform.units(), np.asarray(row.tokens.codes[0])
    return Merged(
        torch.from_numpy(ids.astype(np.int64)), row.tokens.durations, info.options.dedup, row.tokens.num_samples,
        info.sample_rate, info.frame_rate, info.codebook_sizes, info.fingerprint, bpe.fingerprint, bpe.vocab_size,
    )  # fmt: skip
