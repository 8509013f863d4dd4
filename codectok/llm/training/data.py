"""Rows of a packed dataset as batches: which rows, is a function of the seed and the step alone."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codectok.errors import FingerprintError, FormatError
from codectok.llm.pack.row_files import collate
from codectok.llm.vocab.audio_vocab import AudioVocab

COLUMNS = ("input_ids", "labels", "loss_weights", "position_ids")


class PackedDataset:
    """A folder of parquet files with a row for each sequence, or several sequences packed.

    Columns: ``input_ids`` and ``labels`` (as the inputs, -100 where nothing is learned; not shifted), and where they
    are there ``loss_weights`` and ``position_ids`` (from 0 in each sequence of a row).

    Args:
        folder: as ``codectok llm pack`` writes it.
        cache: where the rows are kept for reading at random; None for that of the datasets library.

    Raises:
        FormatError: no parquet files in it, other columns, or no rows.
    """

    def __init__(self, folder: str | os.PathLike[str], cache: str | os.PathLike[str] | None = None) -> None:
        from datasets import Dataset, disable_progress_bars

        disable_progress_bars()
        files = sorted(map(str, Path(folder).rglob("*.parquet")))
        if not files:
            raise FormatError(
                f"no .parquet files in {os.fspath(folder)}: make a dataset with `codectok llm pack`", path=folder
            )
        try:
            table: Any = Dataset.from_parquet(files, cache_dir=None if cache is None else os.fspath(cache))
        except Exception as error:
            raise FormatError(
                f"cannot read the dataset in {os.fspath(folder)} ({str(error).splitlines()[0]})", path=folder
            ) from None
        missing = {"input_ids", "labels"} - set(table.column_names)
        if missing or not len(table):
            raise FormatError(
                f"the dataset in {os.fspath(folder)} has no {', '.join(sorted(missing)) or 'rows'}", path=folder
            )
        self._folder, self._files, self._ids = os.fspath(folder), files, table.data.column("input_ids")
        self.columns = [name for name in COLUMNS if name in table.column_names]
        self.table = table.select_columns(self.columns).with_format("numpy")

    def check(self, vocab: AudioVocab, rows: int) -> None:
        """Check that the rows belong to a model: by the vocabulary they were packed for, where the files name it.

        Args:
            vocab: of the model.
            rows: of its embedding, for files that name no vocabulary.

        Raises:
            FingerprintError: packed for another vocabulary.
            FormatError: ids that the model does not have.
        """
        prints = [_packed_for(file) for file in self._files]
        if other := set(prints) - {None, vocab.fingerprint}:
            raise FingerprintError(
                f"{self._folder} was packed for a vocabulary ({min(map(str, other))}) that is not the model's "
                f"({vocab.fingerprint}): pack it again with --model set to this model",
                wanted=vocab.fingerprint,
                found=min(map(str, other)),
            )
        if None in prints:
            import pyarrow.compute as pc

            ends = [pc.min_max(pc.list_flatten(chunk)).as_py() for chunk in self._ids.chunks]
            low = min((e["min"] for e in ends if e["min"] is not None), default=0)
            high = max((e["max"] for e in ends if e["max"] is not None), default=0)
            if low < 0 or high >= rows:
                raise FormatError(
                    f"{self._folder} has ids from {low} to {high}, the model has rows for 0 to {rows - 1}: "
                    "pack it for this model, or extend the model first",
                    path=self._folder,
                )

    def __len__(self) -> int:
        return len(self.table)

    def batch(self, seed: int, step: int, size: int) -> dict[str, Tensor]:
        """The batch of a step, [B, N] each: epoch after epoch, every row once an epoch, in an order of its own.

        With ``lengths`` [B]: rows are filled up with id 0, which has no label; which id it is does not matter.
        """
        places = [divmod(step * size + i, len(self)) for i in range(size)]
        rows = [self.table[int(epoch_order(len(self), seed, epoch)[i])] for epoch, i in places]
        lengths = torch.tensor([len(row["input_ids"]) for row in rows])
        return {**collate(rows, pad_id=0), "lengths": lengths}


def pack_hash(folder: str | os.PathLike[str]) -> str:
    """Of every pack.json in a dataset's folder: what a run that is resumed must find again."""
    found = sorted(Path(folder).rglob("pack.json"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in found)).hexdigest()[:32]


def _packed_for(file: str) -> str | None:
    """Fingerprint of the vocabulary that a file of ``codectok llm pack`` is for; None for files of others."""
    import pyarrow.parquet as pq

    about = json.loads((pq.read_schema(file).metadata or {}).get(b"codectok", b"{}"))
    found = about.get("vocab_fingerprint")
    return None if found is None else str(found)


@lru_cache(maxsize=4)
def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of ``count`` rows in an epoch, int64 [count]."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def model_inputs(batch: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the model reads of a batch.

    Position ids that start again tell transformers to keep attention within each sequence, where there is neither mask
    nor cache. Rows without them are masked by length.
    """
    ids = batch["input_ids"]
    if "position_ids" in batch:
        return {"input_ids": ids, "position_ids": batch["position_ids"], "use_cache": False}
    real = torch.arange(ids.shape[1], device=ids.device) < batch["lengths"][:, None]
    return {"input_ids": ids, "attention_mask": real.long(), "use_cache": False}
