"""Packing a token store into a Hugging Face dataset: parquet shards that ``datasets.load_dataset`` reads.

    DATASET/data/train-00000-of-00002.parquet   one row a packed sequence of at most ``length`` tokens
    DATASET/dataset_info.json                   features and counts, as ``datasets`` writes them
    DATASET/pack.json                           vocabulary, task, pattern, options, counts
    DATASET/dropped.jsonl                       items that are in no row, and why
    DATASET/README.md                           counts, hours, tokens a second, share of text

``load_dataset(DATASET)``, ``load_dataset("parquet", data_files="DATASET/data/*.parquet")`` and any parquet reader.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from codectok.errors import CodectokError, FormatError
from codectok.llm.model.folder import new_folder
from codectok.llm.pack.card import FILE as CARD
from codectok.llm.pack.card import Kinds, card
from codectok.llm.pack.items import Made
from codectok.llm.pack.packing import longest_stretch, pack
from codectok.llm.pack.row_files import RowWriter
from codectok.llm.sequence.encoder import SequenceEncoder
from codectok.llm.sequence.loss_labels import IGNORE
from codectok.llm.sequence.ragged import Sequences, join, windows

BATCH = 512
"""Sequences that are encoded at a time."""


@dataclass(frozen=True)
class PackOptions:
    """How sequences become rows.

    Attributes:
        length: tokens a row at most.
        window: sequences that are packed together; what memory and the order of rows depend on.
        cut: fill rows by cutting sequences between frames; else no sequence is cut, and longer ones are left out.
        shard_tokens: tokens a parquet file, about.
    """

    length: int = 4096
    window: int = 4096
    cut: bool = False
    shard_tokens: int = 1 << 25

    def __post_init__(self) -> None:
        if min(self.length, self.window, self.shard_tokens) < 1:
            raise FormatError("length, window and tokens a shard must be 1 or more")


@dataclass
class PackReport:
    """What was packed.

    Attributes:
        items: sequences in the dataset.
        rows: packed rows.
        tokens: of all rows.
        labels: tokens that have a label.
        weight: sum of their loss weights.
        cut: sequences that were cut.
        dropped: items left out, by reason (numbers in them as N).
        fill: share of rows x length that holds a token.
        seconds: the run took.
        tokens_per_second: of the run, from store to closed files.
    """

    items: int = 0
    rows: int = 0
    tokens: int = 0
    labels: int = 0
    weight: float = 0.0
    cut: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    fill: float = 0.0
    seconds: float = 0.0
    tokens_per_second: float = 0.0

    @property
    def num_dropped(self) -> int:
        """Items left out."""
        return sum(self.dropped.values())

    def drop(self, reason: str) -> None:
        """Count an item that is left out."""
        kind = re.sub("[0-9]+", "N", reason)
        self.dropped[kind] = self.dropped.get(kind, 0) + 1


def write_dataset(
    out: str | os.PathLike[str],
    made: Iterable[Made],
    encoder: SequenceEncoder,
    options: PackOptions,
    about: dict[str, Any],
    *,
    weighted: bool = False,
    overwrite: bool = False,
    progress: Callable[[int], None] = lambda n: None,
) -> PackReport:
    """Encode, pack and write. The same input gives the same bytes; nothing is there before all is.

    Args:
        out: folder to make.
        made: sequences in parts, or reasons (``items.made_items``).
        encoder: parts to ids.
        options: of the packing.
        about: what ``pack.json`` says of the source beside what this function knows.
        weighted: write loss weights; always so where the encoder weighs codebooks.
        overwrite: replace ``out``.
        progress: told the number of items done.

    Raises:
        FormatError: ``out`` exists, or not one item could be packed.
    """
    begun = time.perf_counter()
    report, kinds = PackReport(), Kinds()
    weighted = weighted or encoder.weights is not None
    with new_folder(out, overwrite, mark="pack.json") as folder:
        with (
            open(folder / "dropped.jsonl", "w", encoding="utf-8", newline="\n") as dropped,
            RowWriter(folder / "data", weighted, options.shard_tokens, about) as writer,
        ):

            def drop(id: str, reason: str) -> None:
                report.drop(reason)
                dropped.write(json.dumps({"id": id, "reason": reason}, ensure_ascii=False) + "\n")

            batches = _encoded(made, encoder, drop, progress)
            for window, names in windows(_fitting(batches, options, drop), options.window):
                rows = pack(window, options.length, cut=options.cut)
                writer.write(rows, names)
                report.items += len(set(rows.sequences))
                report.cut += len(rows.sequences) - len(set(rows.sequences))
                report.rows += len(rows)
                report.tokens += len(rows.ids)
                kinds.add(encoder.vocab, rows.ids)
                said = rows.labels != IGNORE
                report.labels += int(said.sum())
                report.weight += float(said.sum() if rows.weights is None else rows.weights.sum(dtype=np.float64))
            if not report.items:
                first = next(iter(report.dropped), "there are no items")
                raise FormatError(f"nothing to pack: {report.num_dropped} items were left out, the first: {first}")
        report.fill = report.tokens / (report.rows * options.length)
        _describe(folder, encoder, options, about, report, writer)
        (folder / CARD).write_text(card(kinds, asdict(report), encoder.vocab, about), encoding="utf-8")
        report.seconds = time.perf_counter() - begun
        report.tokens_per_second = report.tokens / report.seconds
    return report


def _encoded(
    made: Iterable[Made], encoder: SequenceEncoder, drop: Callable[[str, str], None], progress: Callable[[int], None]
) -> Iterator[tuple[Sequences, list[str]]]:
    source = iter(made)
    while chunk := list(itertools.islice(source, BATCH)):
        progress(len(chunk))
        good = []
        for one in chunk:
            if one.parts is None:
                drop(one.id, one.reason)
            else:
                good.append(one)
        if not good:
            continue
        try:
            yield encoder.batch([one.parts or [] for one in good]), [one.id for one in good]
        except CodectokError:
            yield from _one_by_one(good, encoder, drop)


def _one_by_one(
    made: list[Made], encoder: SequenceEncoder, drop: Callable[[str, str], None]
) -> Iterator[tuple[Sequences, list[str]]]:
    """The same where one of a batch cannot be encoded: the others are not lost with it."""
    found, names = [], []
    for one in made:
        try:
            found.append(encoder(one.parts or []))
            names.append(one.id)
        except CodectokError as error:
            drop(one.id, str(error))
    if found:
        yield join(found), names


def _fitting(
    batches: Iterable[tuple[Sequences, list[str]]], options: PackOptions, drop: Callable[[str, str], None]
) -> Iterator[tuple[Sequences, list[str]]]:
    """Leave out what has no tokens or does not fit into a row."""
    for batch, names in batches:
        sizes = batch.lengths
        if options.cut and (sizes > options.length).any():
            spans = zip(batch.offsets, batch.offsets[1:], strict=False)
            sizes = np.array([longest_stretch(batch.cuts[a:b]) for a, b in spans])
        kept = (sizes > 0) & (sizes <= options.length)
        for i in np.flatnonzero(~kept).tolist():
            what = "a stretch that cannot be cut" if options.cut else "the sequence"
            drop(names[i], f"{what} has {sizes[i]} tokens, a row {options.length}" if sizes[i] else "no tokens")
        yield batch.choose(kept), [name for name, keep in zip(names, kept.tolist(), strict=True) if keep]


def _describe(
    folder: Path, encoder: SequenceEncoder, options: PackOptions, about: dict[str, Any], report: PackReport,
    writer: RowWriter,
) -> None:  # fmt: skip
    counts = {k: v for k, v in asdict(report).items() if k not in ("seconds", "tokens_per_second")}
    plain = {"format_version": 1, **about, "options": asdict(options), "counts": counts}
    plain["vocab"] = {"name": encoder.vocab.name, "fingerprint": encoder.vocab.fingerprint}
    (folder / "pack.json").write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    info = {
        "description": "Token sequences packed by codectok.",
        "features": writer.features(),
        "splits": {"train": {"name": "train", "num_bytes": writer.num_bytes, "num_examples": report.rows}},
    }
    (folder / "dataset_info.json").write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")
