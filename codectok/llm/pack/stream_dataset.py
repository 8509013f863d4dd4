"""Packing a store for a model of several streams: an utterance a row, its codes whole, the plan in ``pack.json``.

DATASET/data/train-00000-of-00001.parquet   columns id, prompt [P], codes [K][T], and text [T] where it is a stream
DATASET/pack.json, dropped.jsonl, README.md                as of one stream
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from codectok.errors import CodectokError, FormatError
from codectok.llm.heads.token_rows import check_vocab_for_streams
from codectok.llm.model.folder import new_folder
from codectok.llm.pack.card import FILE as CARD
from codectok.llm.pack.card import Kinds, card
from codectok.llm.pack.dataset import PackOptions, PackReport
from codectok.llm.pack.items import task_items
from codectok.llm.pack.text_stream import text_row
from codectok.llm.pack.texts import TextLine
from codectok.llm.patterns.stream_plan import StreamPlan
from codectok.llm.sequence.encoder import SequenceEncoder
from codectok.llm.sequence.loss_labels import Part
from codectok.llm.sequence.segments import Audio, Marker
from codectok.llm.sequence.task_table import SequenceTask
from codectok.llm.sequence.tasks import Style
from codectok.llm.sequence.text_only import TextEncoder
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.store.info import need_pyarrow
from codectok.store.reader import Store

ROWS_PER_FILE = 1 << 16


class StreamRow(NamedTuple):
    """One utterance.

    Attributes:
        id: of the store.
        prompt: ids that are given, int64 [P]; the last is the start of speech.
        codes: int64 [K, T].
        text: ids of the text stream, int64 [T], or None.
    """

    id: str
    prompt: np.ndarray
    codes: np.ndarray
    text: np.ndarray | None


def split_parts(parts: list[Part]) -> tuple[list[Part], np.ndarray]:
    """What is given, up to the start of speech, and the codes [K, T] that are said.

    Raises:
        FormatError: a task that says more than one speech at its end.
    """
    said = [i for i, part in enumerate(parts) if part.predict and not isinstance(part.segment, Marker)]
    at = said[0] if said else -1
    if len(said) != 1 or not isinstance(parts[at].segment, Audio):
        raise FormatError(
            "several streams say one speech, at the end: this task says something else (--pattern flatten)"
        )
    given = [Part(part.segment) for part in parts[:at]]
    if not given or not isinstance(given[-1].segment, Marker):
        given.append(Part(Marker("begin")))
    return given, np.asarray(parts[at].segment.codes, dtype=np.int64)


class StreamRows:
    """Items of a store as rows.

    Args:
        plan: of the streams.
        vocab: of the audio tokens.
        tokenizer: of text; None for a model without.
        task: what to make of an item.
        style: how.
        length: positions a row at most, prompt and steps together.

    Raises:
        FormatError: a vocabulary without a text tokenizer where there is a text stream.
    """

    def __init__(
        self, plan: StreamPlan, vocab: AudioVocab, tokenizer: Any, task: SequenceTask, style: Style, length: int
    ) -> None:
        check_vocab_for_streams(vocab)
        if plan.text and tokenizer is None:
            raise FormatError("a text stream needs a text tokenizer: give one with --tokenizer")
        needs = dict.fromkeys((*task.needs, "text")) if plan.text else dict.fromkeys(task.needs)
        self.task = dataclasses.replace(task, needs=tuple(needs))
        self.plan, self.vocab, self.style, self.length = plan, vocab, style, length
        self.encoder = SequenceEncoder(vocab, tokenizer, eos=False)
        self._text = TextEncoder(tokenizer, vocab) if plan.text else None

    def row(self, item: Any) -> StreamRow:
        """One item as a row.

        Raises:
            CodectokError: why it cannot be one.
        """
        given, codes = split_parts(self.task.parts(item, self.style, self.vocab))
        frames = codes.shape[1]
        if not frames:
            raise FormatError("no frames")
        prompt = self.encoder(given).ids
        self.vocab.ids(codes)  # raises on a code outside its codebook
        size = len(prompt) + self.plan.pattern.length(frames, len(self.plan.rows))
        if size > self.length:
            raise FormatError(f"the sequence has {size} positions, a row {self.length}")
        text = None
        if self._text is not None:
            encode, none = self._text, self.plan.text - 1
            text = text_row(
                lambda said: encode(said, first=False), item.text, item.words, item.frame_rate, frames, none,
                self.plan.group,
            )  # fmt: skip
            if (text > none).any():
                raise FormatError("its text has tokens behind the first audio token, which no stream holds")
        return StreamRow(item.id, prompt, codes, text)


def write_stream_dataset(
    store: Store,
    out: str | os.PathLike[str],
    rows: StreamRows,
    about: dict[str, Any],
    options: PackOptions,
    *,
    texts: dict[str, TextLine],
    target: Store | None = None,
    overwrite: bool = False,
    progress: Callable[[int], None] = lambda n: None,
) -> PackReport:
    """Write every utterance of a store as a row. The same input gives the same bytes.

    Args:
        store: of speech.
        out: folder to make.
        rows: what makes the rows.
        about: what ``pack.json`` says of the source.
        options: of which ``length`` counts.
        texts: by id, over the labels of the store.
        target: store of target speech.
        overwrite: replace ``out``.
        progress: told the number of items done.

    Raises:
        FormatError: ``out`` exists, or not one item could be packed.
    """
    need_pyarrow()
    begun, report, kinds = time.perf_counter(), PackReport(), Kinds()
    if rows.task.group:
        raise FormatError(f"task {rows.task.name} says several utterances, streams say one: use --pattern flatten")
    with new_folder(out, overwrite, mark="pack.json") as folder:
        with open(folder / "dropped.jsonl", "w", encoding="utf-8", newline="\n") as dropped:

            def made() -> Iterator[StreamRow]:
                for item, _ in task_items(store, rows.vocab, texts, target, rows.task):
                    progress(1)
                    try:
                        yield rows.row(item)
                    except CodectokError as error:
                        report.drop(str(error))
                        dropped.write(json.dumps({"id": item.id, "reason": str(error)}, ensure_ascii=False) + "\n")

            _write(folder / "data", made(), rows, about, report, kinds)
        if not report.items:
            first = next(iter(report.dropped), "there are no items")
            raise FormatError(f"nothing to pack: {report.num_dropped} items were left out, the first: {first}")
        report.rows, report.fill = report.items, report.tokens / (report.items * options.length)
        counts = {k: v for k, v in dataclasses.asdict(report).items() if k not in ("seconds", "tokens_per_second")}
        plain = {"format_version": 1, **about, "options": dataclasses.asdict(options), "counts": counts}
        plain["vocab"] = {"name": rows.vocab.name, "fingerprint": rows.vocab.fingerprint}
        (folder / "pack.json").write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / CARD).write_text(card(kinds, counts, rows.vocab, about), encoding="utf-8")
    report.seconds = time.perf_counter() - begun
    report.tokens_per_second = report.tokens / report.seconds
    return report


def _write(
    folder: Path, made: Iterator[StreamRow], rows: StreamRows, about: dict[str, Any], report: PackReport, kinds: Kinds
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids = pa.list_(pa.int32())
    fields = [("id", pa.string()), ("prompt", ids), ("codes", pa.list_(ids)), *([("text", ids)] * bool(rows.plan.text))]
    schema = pa.schema(fields, metadata={"codectok": json.dumps(about, sort_keys=True)})
    folder.mkdir()
    files: list[Path] = []
    while chunk := list(itertools.islice(made, ROWS_PER_FILE)):
        table = {
            "id": [row.id for row in chunk],
            "prompt": [row.prompt.tolist() for row in chunk],
            "codes": [row.codes.tolist() for row in chunk],
            "text": [row.text.tolist() for row in chunk if row.text is not None],
        }
        files.append(folder / f"{len(files):05d}.parquet")
        pq.write_table(pa.table({name: table[name] for name in schema.names}, schema), files[-1], compression="zstd")
        for row in chunk:
            kinds.add(rows.vocab, row.prompt)
            kinds.audio += row.codes.size
            written = 0 if row.text is None else int((row.text < rows.plan.text - 1).sum())
            kinds.text += written
            report.items += 1
            report.tokens += len(row.prompt) + rows.plan.pattern.length(row.codes.shape[1], len(rows.plan.rows))
            report.labels += row.codes.size + (0 if row.text is None else len(row.text))
    report.weight = float(report.labels)
    for i, path in enumerate(files):
        path.rename(folder / f"train-{i:05d}-of-{len(files):05d}.parquet")
