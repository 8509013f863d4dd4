"""From a store, a model folder and the name of a task to a dataset: what ``codectok llm pack`` does."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codectok.errors import CodectokError, FormatError
from codectok.llm.model.folder import open_text_tokenizer
from codectok.llm.pack.dataset import PackOptions, PackReport, write_dataset
from codectok.llm.pack.items import check_store, made_dialogues, made_items
from codectok.llm.pack.stream_dataset import StreamRows, write_stream_dataset
from codectok.llm.pack.texts import TARGETS, TextLine, read_texts
from codectok.llm.patterns import Flatten, Pattern, Sections, from_dict, to_dict
from codectok.llm.patterns.stream_plan import read_plan
from codectok.llm.sequence.encoder import SequenceEncoder
from codectok.llm.sequence.loss_labels import codebook_weights
from codectok.llm.sequence.task_table import CHAT, task
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.store.reader import Store


@dataclass(frozen=True)
class PackJob:
    """What to make of a store.

    Attributes:
        task: name of the task, or "chat".
        pattern: "flatten", "sections", or a pattern's JSON (``patterns.from_dict``); or of several streams, see
            :func:`codectok.llm.patterns.stream_plan.read_plan`.
        text_stream: whether several streams have one of text.
        codebook_weights: loss weights; None: none.
        group: utterances a sequence, for tasks of several.
        style: fields of Style that replace what suits the vocabulary.
    """

    task: str = "asr"
    pattern: str = "flatten"
    text_stream: bool = False
    codebook_weights: tuple[Any, ...] | None = None
    group: int = 4
    style: Mapping[str, Any] = field(default_factory=dict)


def read_pattern(text: str) -> Pattern:
    """A pattern by name or as JSON.

    Raises:
        FormatError: neither.
    """
    if text in ("flatten", "sections"):
        return Flatten() if text == "flatten" else Sections()
    try:
        plain = json.loads(text)
    except ValueError:
        plain = {"pattern": text}
    if not isinstance(plain, dict):
        raise FormatError(f'pattern {text!r}: give flatten, sections, or JSON such as {{"pattern": "flatten"}}')
    return from_dict(plain)


def pack_store(
    store: Store,
    out: str | os.PathLike[str],
    model: str | os.PathLike[str],
    job: PackJob,
    options: PackOptions | None = None,
    *,
    tokenizer: str | os.PathLike[str] | None = None,
    texts: str | os.PathLike[str] | None = None,
    target: Store | None = None,
    overwrite: bool = False,
    progress: Callable[[int], None] = lambda n: None,
) -> PackReport:
    """Pack a store.

    Args:
        store: of the vocabulary's audio tokenizer.
        out: folder of the dataset.
        model: folder with ``audio_vocab.json``, such as ``codectok llm extend`` makes.
        job: what to make.
        options: of the packing.
        tokenizer: text tokenizer; default the one in ``model``, if there is one.
        texts: table with the texts (see ``texts.read_texts``); default, the labels of the store.
        target: store of target speech.
        overwrite: replace ``out``.
        progress: told the number of items done.

    Raises:
        FingerprintError: store and vocabulary are of different audio tokenizers.
        CodectokError: anything else that does not fit together.
    """
    vocab = AudioVocab.load(model)
    check_store(store, vocab)
    if target is not None:
        check_store(target, vocab)
    chat = job.task == CHAT
    chosen = task("speech") if chat else task(job.task)
    plan = read_plan(job.pattern, vocab.unit_sizes, (vocab.base_id + 1) * job.text_stream)
    if plan is None and job.text_stream:
        raise FormatError("a text stream goes with several streams: --pattern delay, depth, valle or grouped")
    pattern = Flatten() if plan else read_pattern(job.pattern)
    if chosen.slices and not isinstance(pattern, Flatten):
        raise FormatError(f"task {job.task} takes utterances apart by frames: use the pattern flatten")
    if "target_codes" in chosen.needs and target is None:
        raise FormatError(f"task {job.task} needs target speech: give its store with --target")
    if plan and chat:
        raise FormatError("task chat says text and speech in turns: use --pattern flatten")
    if plan and options is not None and options.cut:
        raise FormatError("several streams have an utterance a row: leave out --cut")
    needs = {*chosen.needs, *(["text"] * job.text_stream)}
    if texts is None and (chat or not _has_texts(store, needs)):
        raise FormatError(f"task {job.task} needs texts: give a table with --text")
    weights = None if job.codebook_weights is None else _numbers(job.codebook_weights)
    text_tokenizer = _text_tokenizer(model, tokenizer)
    style = chosen.style(vocab, **job.style)
    lines: dict[str, TextLine] = {} if texts is None else read_texts(texts)
    scaled = None if weights is None else codebook_weights(weights, vocab).tolist()
    about = {
        "task": job.task,
        **({"pattern": to_dict(pattern)} if plan is None else {"streams": plan.to_dict()}),
        "style": dataclasses.asdict(style),
        "codebook_weights": scaled,
        "tokenizer": store.info.tokenizer,
        "tokenizer_fingerprint": store.fingerprint,
        "frame_rate": str(store.info.frame_rate),
        "vocab_fingerprint": vocab.fingerprint,
        **({} if vocab.transform is None else {"transform": vocab.transform.to_dict()}),
        "manifest": store.info.manifest,
    }
    chosen_options = options or PackOptions()
    if plan is not None:
        rows = StreamRows(plan, vocab, text_tokenizer, chosen, style, chosen_options.length)
        return write_stream_dataset(
            store, out, rows, about, chosen_options, texts=lines, target=target, overwrite=overwrite, progress=progress
        )
    ends = False if chat else None
    encoder = SequenceEncoder(vocab, text_tokenizer, pattern=pattern, bos=ends, eos=ends, weights=weights)
    if chat and text_tokenizer is None:
        raise FormatError("chat needs a text tokenizer: give one with --tokenizer")
    made = (
        made_dialogues(store, text_tokenizer, vocab, style, lines)
        if chat
        else made_items(store, chosen, style, vocab, lines, target, job.group)
    )
    return write_dataset(
        out,
        made,
        encoder,
        chosen_options,
        about,
        weighted=style.time_weight != 1,
        overwrite=overwrite,
        progress=progress,
    )


def _has_texts(store: Store, needs: Collection[str]) -> bool:
    """Whether the labels of a store have the texts that a task needs."""
    labels = () if store.info.labels is None else store.info.labels.types
    found = {"text": "text" in labels, "target_text": any(name in labels for name in TARGETS)}
    return all(found.get(need, True) for need in needs)


def _text_tokenizer(model: str | os.PathLike[str], given: str | os.PathLike[str] | None) -> Any:
    if given is not None:
        return open_text_tokenizer(given)
    has = any((Path(model) / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json"))
    return open_text_tokenizer(model) if has else None


def _numbers(values: tuple[Any, ...]) -> list[float]:
    try:
        return [float(value) for value in values]
    except ValueError as error:
        raise CodectokError(f"codebook weights {','.join(map(str, values))}: give numbers such as 4,1,1,1") from error
