"""Rows of a dataset of several streams as batches."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from codectok.errors import FingerprintError, FormatError
from codectok.fingerprint import same
from codectok.llm.patterns.cells import Cell
from codectok.llm.patterns.stream_plan import StreamPlan, same_plan
from codectok.llm.training.data import epoch_order
from codectok.llm.vocab.audio_vocab import AudioVocab


def packed_about(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What ``pack.json`` says of a dataset; nothing where there is none.

    Raises:
        FormatError: a damaged file.
    """
    path = Path(folder) / "pack.json"
    if not path.is_file():
        return {}
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise FormatError(f"{path} is damaged ({error}): pack the store again", path=path) from None
    return plain if isinstance(plain, dict) else {}


def packed_plan(folder: str | os.PathLike[str]) -> StreamPlan | None:
    """The plan of a dataset; None of one stream. A folder of several datasets has the plan that they share.

    Raises:
        FormatError: datasets of different plans in one folder.
    """
    found = sorted(Path(folder).rglob("pack.json"))
    plans = [_plan(path.parent) for path in found]
    for path, plan in zip(found, plans, strict=True):
        same_plan(plan, plans[0], str(path.parent), str(found[0].parent))
    return plans[0] if plans else None


def _plan(folder: Path) -> StreamPlan | None:
    plain = packed_about(folder).get("streams")
    return None if plain is None else StreamPlan.from_dict(plain)


def check_packed(folder: str | os.PathLike[str], plan: StreamPlan, vocab: AudioVocab) -> None:
    """Check that a dataset belongs to a model, by its vocabulary.

    Raises:
        FormatError: other codebooks.
        FingerprintError: another audio tokenizer, or another vocabulary of the same one.
    """
    where, sizes = "pack it again with --model set to this model", vocab.codebook_sizes
    for path in sorted(Path(folder).rglob("pack.json")):
        about, name = packed_about(path.parent), str(path.parent)
        if len(plan.sizes) != len(sizes):
            raise FormatError(f"{name} has {len(plan.sizes)} codebooks, the model {len(sizes)}: {where}")
        if plan.sizes != sizes:
            raise FormatError(f"{name} has codebooks of {list(plan.sizes)} codes, the model of {list(sizes)}: {where}")
        mine, theirs = about.get("tokenizer_fingerprint"), vocab.tokenizer_fingerprint
        if theirs is not None and mine is not None and not same(theirs, mine):
            raise FingerprintError(
                f"{name} is of audio tokenizer {mine}, the model of {theirs}: {where}", wanted=theirs, found=mine
            )
        if about.get("vocab_fingerprint") != vocab.fingerprint:
            raise FingerprintError(
                f"{name} was packed for a vocabulary ({about.get('vocab_fingerprint')}) that is not the model's "
                f"({vocab.fingerprint}): {where}",
                wanted=vocab.fingerprint,
                found=str(about.get("vocab_fingerprint")),
            )


class StreamDataset:
    """A folder, or a folder of folders, that ``codectok llm pack --pattern`` wrote for several streams.

    Args:
        folder: of the dataset.
        plan: that its ``pack.json`` names.
        cache: where the rows are kept for reading at random; None for that of the datasets library.

    Raises:
        FormatError: files that are missing or damaged.
    """

    def __init__(
        self, folder: str | os.PathLike[str], plan: StreamPlan, cache: str | os.PathLike[str] | None = None
    ) -> None:
        from datasets import Dataset, disable_progress_bars

        disable_progress_bars()
        self.folder, self.plan = Path(folder), plan
        files = sorted(map(str, self.folder.rglob("*.parquet")))
        try:
            table: Any = Dataset.from_parquet(files, cache_dir=None if cache is None else os.fspath(cache))
            self.table = table.select_columns(["prompt", "codes", *(["text"] if plan.text else [])]).with_format(
                "numpy"
            )
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise FormatError(f"cannot read the dataset in {folder} ({reason}): pack it again", path=folder) from None
        weights = [packed_about(p.parent).get("codebook_weights") for p in sorted(self.folder.rglob("pack.json"))]
        if any(w != weights[0] for w in weights):
            raise FormatError(f"datasets in {folder} have different codebook weights: pack them alike", path=folder)
        self.weights = torch.tensor(weights[0] or [1.0] * len(plan.sizes))

    def __len__(self) -> int:
        return len(self.table)

    def batch(self, seed: int, step: int, size: int) -> dict[str, Tensor]:
        """The batch of a step: what :meth:`codectok.llm.heads.stream_model.StreamModel.forward` takes."""
        places = [divmod(step * size + i, len(self)) for i in range(size)]
        return collate_streams(
            [self.row(int(epoch_order(len(self), seed, epoch)[i])) for epoch, i in places], self.plan, self.weights
        )

    def row(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Prompt [P], codes [K, T], and the text [T] where it is a stream."""
        row = self.table[index]
        codes = np.stack([np.asarray(one, dtype=np.int64) for one in row["codes"]])
        text = np.asarray(row["text"], dtype=np.int64) if self.plan.text else None
        return np.asarray(row["prompt"], dtype=np.int64), codes, text


def collate_streams(
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]], plan: StreamPlan, weights: Tensor
) -> dict[str, Tensor]:
    """Rows (prompt, codes, text) as a batch, padded on the right. ``said`` [B] is the weight of what each says."""
    ids, steps, learned, codes, weight = [], [], [], [], []
    each = torch.cat([weights, torch.ones(1)])[list(plan.codebook_of)]
    for prompt, code, text in rows:
        said = code[:1] if plan.heads == "nar" else code
        arranged = plan.apply(said if text is None else np.concatenate([text[None], said]))
        before = np.full((len(arranged), len(prompt)), -1)
        ids.append(torch.from_numpy(np.append(prompt, np.zeros(arranged.shape[1], dtype=np.int64))))
        steps.append(torch.from_numpy(np.concatenate([before, arranged], 1)).T)
        grid = plan.pattern.grid(code.shape[1], len(plan.rows))
        said_here = np.concatenate([before >= 0, (grid >= 0) | (grid == Cell.END)], 1)
        learned.append(torch.from_numpy(said_here).T)
        codes.append(torch.from_numpy(code).T)
        levels = float(weights[1:].sum()) * code.shape[1] if plan.heads == "nar" else 0.0
        weight.append(float(learned[-1].sum(0).float() @ each) + levels)
    return {
        "ids": pad_sequence(ids, batch_first=True),
        "steps": pad_sequence(steps, batch_first=True, padding_value=-1).transpose(1, 2),
        "learned": pad_sequence(learned, batch_first=True).transpose(1, 2),
        "codes": pad_sequence(codes, batch_first=True, padding_value=-1).transpose(1, 2),
        "starts": torch.tensor([len(prompt) for prompt, _, _ in rows]),
        "lengths": torch.tensor([len(one) for one in ids]),
        "weights": weights.expand(len(rows), -1),
        "said": torch.tensor(weight),
    }
