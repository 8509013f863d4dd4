"""The parquet format: one row an utterance, codes as nested lists. Any parquet reader opens it.

Columns: ``id`` string, ``num_samples`` int64, ``num_frames`` int64, ``codes`` list<list<int32>> [K][T], ``durations``
list<int32> [T] or null; then one a label, typed (``label_id`` and so on where a label has one of these names). The
store's description is in the schema's metadata under ``codectok``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from codectok.errors import CodectokError, FormatError
from codectok.files.atomic import atomic_path
from codectok.fingerprint import same
from codectok.items.labels import Label, Labels
from codectok.store.flat import need_side_by_side
from codectok.store.info import Row, StoreFormat, StoreInfo, need_pyarrow
from codectok.store.label_columns import LabelColumns

if TYPE_CHECKING:
    import pyarrow as pa

CODES_PER_GROUP = 2**19
"""Codes in a row group (one utterance at least), 2 MB as int32: what a reader decodes for a single row, and what bounds
its memory. Rows would be no measure: 15 s are 375 codes of one tokenizer and 36,000 of another."""
ROWS_AT_A_TIME = 256
COLUMNS = ("id", "num_samples", "num_frames", "codes", "durations")
"""The store's own; then come the labels."""


class ParquetFormat(StoreFormat):
    """The parquet format: one row an utterance, codes as nested lists. Any parquet reader opens it."""

    name = "parquet"
    suffixes: tuple[str, ...] = (".parquet",)
    bpe_ids = True

    def check(self, info: StoreInfo) -> None:
        """Refuse ``flatten``: parquet holds all codebooks as they are."""
        need_side_by_side(self.name, info)

    def write_shard(self, path: Path, rows: Sequence[Row], info: StoreInfo) -> None:
        """Write one parquet file."""
        need_pyarrow()
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema, labels = _schema(info), info.labels
        names = [] if labels is None else list(labels.columns(COLUMNS))
        with atomic_path(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
            for group in _groups(rows):
                columns = [
                    pa.array([key for key, _ in group], pa.string()),
                    pa.array([t.num_samples for _, t in group], pa.int64()),
                    pa.array([t.num_frames for _, t in group], pa.int64()),
                    _codes_column(group),
                    pa.array(
                        [None if t.durations is None else t.durations.numpy() for _, t in group], pa.list_(pa.int32())
                    ),
                ]
                found = [info.labels_of(row) for row in group]
                for name, column in zip(names, schema.names[len(COLUMNS) :], strict=True):
                    columns.append(pa.array(_values(labels, name, found), schema.field(column).type))
                writer.write_table(pa.table(columns, schema=schema), row_group_size=len(group))

    def read_shard(self, path: Path, info: StoreInfo) -> Iterator[Row]:
        """Yield the rows of one parquet file."""
        need_pyarrow()
        import pyarrow as pa
        import pyarrow.parquet as pq

        k = len(info.codebook_sizes)
        try:
            with pq.ParquetFile(path) as file:
                found = json.loads((file.schema_arrow.metadata or {}).get(b"codectok", b"{}")).get("fingerprint")
                if not same(found, info.fingerprint):
                    raise FormatError(
                        f"{path} was made by tokenizer {found}, its store by {info.fingerprint}: shards of different "
                        "stores were mixed; make the store again",
                        path=path,
                    )
                for batch in file.iter_batches(batch_size=ROWS_AT_A_TIME):
                    columns = (batch.column(name) for name in ("id", "num_samples", "codes", "durations"))
                    labels = batch_labels(batch, info.labels)
                    for key, samples, codes, runs, own in zip(*columns, labels, strict=True):
                        tokens = info.tokens(
                            _codes(codes, k), samples.as_py(), None if runs.values is None else _array(runs.values)
                        )
                        yield Row(key.as_py(), tokens, own)
        except CodectokError:
            raise
        except (pa.ArrowException, KeyError, OSError, ValueError) as e:
            raise FormatError(
                f"{path} is damaged ({' '.join(str(e).split())[:200]}): make the store again", path=path
            ) from e

    def read_labels(self, path: Path, info: StoreInfo) -> Iterator[tuple[str, Labels]]:
        """Yield ids and labels of one parquet file; the codes are not read."""
        import pyarrow.parquet as pq

        columns = ["id", *(info.labels.columns(COLUMNS).values() if info.labels is not None else ())]
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=columns):
                yield from zip(batch.column("id").to_pylist(), batch_labels(batch, info.labels), strict=True)


def batch_labels(batch: pa.RecordBatch, labels: LabelColumns | None) -> Iterator[dict[str, Label]]:
    """The labels of each row of a batch that has their columns."""
    if labels is None:
        yield from ({} for _ in range(batch.num_rows))
        return
    values = {name: batch.column(column).to_pylist() for name, column in labels.columns(COLUMNS).items()}
    mixed = [name for name, kind in labels.types.items() if kind == "json"]
    for i in range(batch.num_rows):
        found = {name: column[i] for name, column in values.items()}
        found |= {name: json.loads(found[name]) for name in mixed if found[name] is not None}
        yield labels.read(found)


def _values(labels: LabelColumns | None, name: str, rows: Sequence[Labels]) -> list[Label]:
    found = [row.get(name) for row in rows]
    if labels is not None and labels.types[name] == "json":
        return [None if value is None else json.dumps(value, ensure_ascii=False) for value in found]
    return found


def _groups(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Neighbouring rows with ``CODES_PER_GROUP`` codes at most."""
    start = codes = 0
    for i, (_, tokens) in enumerate(rows):
        if i > start and codes + tokens.codes.numel() > CODES_PER_GROUP:
            yield rows[start:i]
            start, codes = i, 0
        codes += tokens.codes.numel()
    if start < len(rows):
        yield rows[start:]


def _schema(info: StoreInfo) -> pa.Schema:
    import pyarrow as pa

    kinds = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
    labels = []
    if info.labels is not None:
        columns = info.labels.columns(COLUMNS)
        labels = [pa.field(columns[name], kinds.get(kind, pa.string())) for name, kind in info.labels.types.items()]
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("num_samples", pa.int64(), nullable=False),
            pa.field("num_frames", pa.int64(), nullable=False),
            pa.field("codes", pa.list_(pa.list_(pa.int32()))),
            pa.field("durations", pa.list_(pa.int32())),
            *labels,
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
