"""Packed rows on disk: parquet files of one schema, and batches of them for a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codectok.llm.pack.packing import PackedRows
from codectok.llm.sequence.loss_labels import IGNORE
from codectok.store.info import need_pyarrow

TOKEN_COLUMNS = {"input_ids": "int32", "labels": "int32", "position_ids": "int32", "sequence_ids": "int32"}
ROWS_PER_GROUP = 1024


class RowWriter:
    """Writes train-00000-of-0000N.parquet files; to be used in a with block.

    Columns: input_ids, labels, position_ids, sequence_ids list<int32>; loss_weights list<float32> where ``weighted``;
    ids list<string>, the item of each sequence id.

    Args:
        folder: of the files, made here.
        weighted: whether there are loss weights.
        shard_tokens: tokens a file, about.
        about: kept in the schema's metadata under "codectok".
    """

    def __init__(self, folder: Path, weighted: bool, shard_tokens: int, about: Mapping[str, Any]) -> None:
        need_pyarrow()
        import pyarrow as pa

        self._folder, self._weighted, self._shard_tokens = folder, weighted, shard_tokens
        kinds = {**TOKEN_COLUMNS, **({"loss_weights": "float32"} if weighted else {}), "ids": "string"}
        self._kinds = kinds
        features = {"info": {"features": self.features()}}
        metadata = {"codectok": json.dumps(dict(about), sort_keys=True), "huggingface": json.dumps(features)}
        listed = [(name, pa.list_(pa.type_for_alias(kind))) for name, kind in kinds.items()]
        self._schema = pa.schema(listed, metadata=metadata)
        self._files: list[Path] = []
        self._file: Any = None
        self._held = 0
        folder.mkdir()

    @property
    def num_bytes(self) -> int:
        """Of the files written."""
        return sum(path.stat().st_size for path in self._files)

    def features(self) -> dict[str, Any]:
        """The columns as ``dataset_info.json`` has them."""
        return {
            name: {"feature": {"dtype": kind, "_type": "Value"}, "_type": "List"} for name, kind in self._kinds.items()
        }

    def write(self, rows: PackedRows, names: Sequence[str]) -> None:
        """Append rows; ``names`` are the ids of the sequences that were packed."""
        import pyarrow as pa

        offsets = pa.array(rows.offsets, pa.int32())
        columns = {"input_ids": rows.ids, "labels": rows.labels, "position_ids": rows.position_ids}
        columns["sequence_ids"] = rows.sequence_ids
        if self._weighted:
            weights = (rows.labels != IGNORE).astype(np.float32) if rows.weights is None else rows.weights
            columns["loss_weights"] = weights
        arrays = [pa.ListArray.from_arrays(offsets, pa.array(column)) for column in columns.values()]
        ends = pa.array(np.concatenate([[0], np.cumsum(rows.per_row)]), pa.int32())
        arrays.append(pa.ListArray.from_arrays(ends, pa.array([names[i] for i in rows.sequences], pa.string())))
        table = pa.Table.from_arrays(arrays, schema=self._schema)
        if self._file is None:
            self._open()
        self._file.write_table(table, row_group_size=ROWS_PER_GROUP)
        self._held += len(rows.ids)
        if self._held >= self._shard_tokens:
            self._close()

    def _open(self) -> None:
        import pyarrow.parquet as pq

        path = self._folder / f"{len(self._files):05d}.parquet"
        # Positions count up and sequence ids stand still: as differences they take next to nothing.
        counted = ("position_ids", "sequence_ids")
        encodings = {f"{name}.list.element": "DELTA_BINARY_PACKED" for name in counted}
        encodings |= {f"{name}.list.element": "PLAIN" for name in self._kinds if name not in counted}
        self._file = pq.ParquetWriter(
            path, self._schema, compression="zstd", compression_level=1, use_dictionary=False,
            column_encoding=encodings, write_statistics=False,
        )  # fmt: skip
        self._files.append(path)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._held = None, 0

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()
        if kind is None:
            total = len(self._files)
            named = [self._folder / f"train-{i:05d}-of-{total:05d}.parquet" for i in range(total)]
            self._files = [path.rename(name) for path, name in zip(self._files, named, strict=True)]


def collate(rows: Sequence[Mapping[str, Any]], pad_id: int) -> dict[str, Tensor]:
    """Rows of the dataset as a batch [B, N], padded on the right.

    Padding has label IGNORE, weight 0, position 0 and sequence id -1 (see ``packing.attention_mask``).
    """
    fills: dict[str, tuple[float, torch.dtype]] = {
        "input_ids": (pad_id, torch.int64),
        "labels": (IGNORE, torch.int64),
        "position_ids": (0, torch.int64),
        "sequence_ids": (-1, torch.int64),
        "loss_weights": (0.0, torch.float32),
    }
    longest = max(len(row["input_ids"]) for row in rows)
    batch = {}
    for name, (fill, dtype) in fills.items():
        if name not in rows[0]:
            continue
        table = torch.full((len(rows), longest), fill, dtype=dtype)
        for i, row in enumerate(rows):
            table[i, : len(row[name])] = torch.as_tensor(row[name], dtype=dtype)
        batch[name] = table
    return batch
