"""The parquet format: one row an utterance, codes as nested lists. Any parquet reader opens it.

Columns: ``id`` string, ``num_samples`` int64, ``num_frames`` int64, ``codes`` list<list<int32>> [K][T], ``durations``
list<int32> [T] or null. The store's description is in the schema's metadata under ``codectok``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from codectok.atomic import atomic_path
from codectok.errors import CodectokError, FormatError
from codectok.store.base import Row, StoreInfo, need_pyarrow

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_GROUP = 256
"""Rows read at a time: what bounds a reader's memory."""


class ParquetFormat:
    """See the module's docstring."""

    name = "parquet"
    suffixes: tuple[str, ...] = (".parquet",)

    def check(self, info: StoreInfo) -> None:
        """Refuse ``flatten``: parquet holds all codebooks as they are."""
        if info.options.flatten:
            raise FormatError("parquet holds all codebooks side by side: leave out --flatten, or use --format fairseq")
        if max(info.codebook_sizes) > 2**31:
            raise FormatError("parquet stores hold codes below 2^31: use a smaller codebook")

    def write_shard(self, path: Path, rows: Sequence[Row], info: StoreInfo) -> None:
        """Write one parquet file."""
        need_pyarrow()
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = _schema(info)
        with atomic_path(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
            for start in range(0, len(rows), ROWS_PER_GROUP):
                group = rows[start : start + ROWS_PER_GROUP]
                columns = [
                    pa.array([key for key, _ in group], pa.string()),
                    pa.array([t.num_samples for _, t in group], pa.int64()),
                    pa.array([t.num_frames for _, t in group], pa.int64()),
                    _codes_column(group),
                    pa.array(
                        [None if t.durations is None else t.durations.numpy() for _, t in group], pa.list_(pa.int32())
                    ),
                ]
                writer.write_batch(pa.record_batch(columns, schema=schema))

    def read_shard(self, path: Path, info: StoreInfo) -> Iterator[Row]:
        """Yield the rows of one parquet file."""
        need_pyarrow()
        import pyarrow as pa
        import pyarrow.parquet as pq

        k = len(info.codebook_sizes)
        try:
            with pq.ParquetFile(path) as file:
                found = json.loads((file.schema_arrow.metadata or {}).get(b"codectok", b"{}")).get("fingerprint")
                if found != info.fingerprint:
                    raise FormatError(
                        f"{path} was made by tokenizer {found}, its store by {info.fingerprint}: shards of different "
                        "stores were mixed; make the store again"
                    )
                for batch in file.iter_batches(batch_size=ROWS_PER_GROUP):
                    columns = (batch.column(name) for name in ("id", "num_samples", "codes", "durations"))
                    for key, samples, codes, runs in zip(*columns, strict=True):
                        tokens = info.tokens(
                            _codes(codes, k), samples.as_py(), None if runs.values is None else _array(runs.values)
                        )
                        yield key.as_py(), tokens
        except CodectokError:
            raise
        except (pa.ArrowException, KeyError, OSError, ValueError) as e:
            raise FormatError(f"{path} is damaged ({' '.join(str(e).split())[:200]}): make the store again") from e

    def write_extras(self, folder: Path, info: StoreInfo) -> None:
        """Nothing."""


def _schema(info: StoreInfo) -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("num_samples", pa.int64(), nullable=False),
            pa.field("num_frames", pa.int64(), nullable=False),
            pa.field("codes", pa.list_(pa.list_(pa.int32()))),
            pa.field("durations", pa.list_(pa.int32())),
        ],
        metadata={"codectok": json.dumps(info.to_json(), sort_keys=True)},
    )


def _codes_column(group: Sequence[Row]) -> pa.Array:
    """Nested lists straight from the arrays: Python lists of ints would cost more than the encoder on a fast codec."""
    import pyarrow as pa

    codes = [t.codes.numpy() for _, t in group]
    values = np.concatenate([c.reshape(-1) for c in codes]).astype(np.int32)
    lengths = np.concatenate([np.full(len(c), c.shape[1]) for c in codes])
    inner = pa.ListArray.from_arrays(_offsets(lengths), values)
    return pa.ListArray.from_arrays(_offsets([len(c) for c in codes]), inner)


def _codes(column: pa.ListScalar, k: int) -> np.ndarray:
    """int64 [K, T]."""
    if len(column) != k or len(set(map(len, column))) != 1:
        raise ValueError(f"codes are not {k} lists of one length")
    return _array(column.values.flatten()).reshape(k, -1)


def _array(values: pa.Array) -> np.ndarray:
    return values.to_numpy(zero_copy_only=False).astype(np.int64)


def _offsets(lengths: Sequence[int] | np.ndarray) -> pa.Array:
    import pyarrow as pa

    return pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
