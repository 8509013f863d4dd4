"""Codes of a store as plain arrays, for reading millions of short utterances: parquet by whole columns."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from codectok.errors import CodectokError, FormatError
from codectok.files.limits import check_frames
from codectok.fingerprint import same
from codectok.items.labels import Labels
from codectok.store.formats.parquet import COLUMNS, batch_labels
from codectok.store.info import shard_path
from codectok.store.label_columns import LabelColumns, kept
from codectok.store.reader import Store

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 512
"""Rows read at a time."""


class CodeRow(NamedTuple):
    """One utterance: codes [K, T] of any integer type, durations [T] in frames where runs were merged, labels."""

    id: str
    codes: np.ndarray
    durations: np.ndarray | None
    labels: Labels = {}  # noqa: RUF012 (never changed)

    def expanded(self) -> np.ndarray:
        """Codes [K, frames], runs undone."""
        if self.durations is not None:
            check_frames(len(self.codes), int(self.durations.sum()))
        return self.codes if self.durations is None else np.repeat(self.codes, self.durations, axis=1)


def code_rows(store: Store, labels: Collection[str] = (), *, ids: bool = False) -> Iterator[CodeRow]:
    """All utterances in the store's order. Codes are not compared with the codebook sizes: ``AudioVocab.ids`` does.

    Args:
        store: of any format.
        labels: names of those that rows shall have, where the store has them; others are not even read from parquet.
        ids: of a store of BPE ids, give these as codes [1, N], without durations.

    Raises:
        FormatError: a shard is missing or damaged.
    """
    merged = store.info.transform is not None
    if store.info.format != "parquet" or (merged and not ids):
        rows = (row for n in range(store.num_shards) for row in store.read_ids(n)) if merged and ids else iter(store)
        for row in rows:
            key, tokens = row
            runs = None if tokens.durations is None or (merged and ids) else tokens.durations.numpy()
            yield CodeRow(key, tokens.codes.numpy(), runs, {n: v for n, v in row.labels.items() if n in labels})
        return
    for shard in range(store.num_shards):
        yield from _parquet(store, shard_path(store.folder, shard, ".parquet"), labels)


def _parquet(store: Store, path: Path, wanted: Collection[str]) -> Iterator[CodeRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    every = store.info.labels
    labels = None if every is None else kept(wanted, every.types, every.sha256)
    try:
        with pq.ParquetFile(path) as file:
            found = json.loads((file.schema_arrow.metadata or {}).get(b"codectok", b"{}")).get("fingerprint")
            if not same(found, store.fingerprint):
                raise FormatError(f"{path} was made by tokenizer {found}, its store by {store.fingerprint}", path=path)
            own = [] if labels is None else labels.columns(COLUMNS).values()
            for batch in file.iter_batches(batch_size=ROWS, columns=["id", "codes", "durations", *own]):
                if store.info.transform is None:
                    yield from _batch(batch, len(store.info.codebook_sizes), labels)
                else:
                    nothing = pa.nulls(batch.num_rows, pa.list_(pa.int32()))
                    bare = batch.set_column(batch.schema.get_field_index("durations"), "durations", nothing)
                    yield from _batch(bare, 1, labels)
    except CodectokError:
        raise
    except (pa.ArrowException, KeyError, OSError, ValueError) as e:
        raise FormatError(
            f"{path} is damaged ({' '.join(str(e).split())[:200]}): make the store again", path=path
        ) from e


def _batch(batch: pa.RecordBatch, k: int, labels: LabelColumns | None) -> Iterator[CodeRow]:
    codes = batch.column("codes")
    lengths = codes.flatten().value_lengths().to_numpy(zero_copy_only=False).reshape(-1, k)
    if not (codes.value_lengths().to_numpy(zero_copy_only=False) == k).all() or (lengths != lengths[:, :1]).any():
        raise ValueError(f"codes are not {k} lists of one length")
    values = codes.flatten().flatten().to_numpy(zero_copy_only=False)
    frames = lengths[:, 0]
    ends = np.concatenate([[0], np.cumsum(frames * k)]).tolist()
    runs = batch.column("durations")
    merged = runs.null_count == 0
    if not merged and runs.null_count < len(runs):
        raise ValueError("some rows have durations and some have none")
    spread = runs.flatten().to_numpy(zero_copy_only=False)
    if merged and (runs.value_lengths().to_numpy(zero_copy_only=False) != frames).any():
        raise ValueError("durations and codes differ in length")
    starts = np.concatenate([[0], np.cumsum(frames)]).tolist()
    for i, (key, own) in enumerate(zip(batch.column("id").to_pylist(), batch_labels(batch, labels), strict=True)):
        table = values[ends[i] : ends[i + 1]].reshape(k, -1)
        yield CodeRow(key, table, spread[starts[i] : starts[i + 1]] if merged else None, own)
