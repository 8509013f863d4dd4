"""From a store and a table to the items that tasks are made of, each with its reason where it cannot be one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from codectok.errors import CodectokError, CodeRangeError, FingerprintError, FormatError
from codectok.fingerprint import same
from codectok.llm.pack.code_rows import code_rows
from codectok.llm.pack.texts import LABELS, TextLine, stored_line
from codectok.llm.sequence.loss_labels import Part
from codectok.llm.sequence.segments import Audio, Marker, Segment, Text
from codectok.llm.sequence.task_table import SequenceTask
from codectok.llm.sequence.tasks import Style, TaskItem
from codectok.llm.sequence.turns import chat_parts
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.unit_frames import MergedColumns
from codectok.store.reader import Store

NO_LINE = TextLine()


class Made(NamedTuple):
    """The parts of one sequence, or why there are none."""

    id: str
    parts: list[Part] | None
    reason: str = ""


def check_store(store: Store, vocab: AudioVocab) -> None:
    """Check that a store's codes are this vocabulary's; of more codebooks the first are used.

    Raises:
        FingerprintError: the store is of another tokenizer, or of another BPE than the vocabulary.
        CodeRangeError: codebooks that do not fit.
    """
    if vocab.tokenizer_fingerprint is not None and not same(vocab.tokenizer_fingerprint, store.fingerprint):
        raise FingerprintError(
            f"{store.folder} is of tokenizer {store.info.tokenizer} ({store.fingerprint}), the vocabulary of "
            f"{vocab.tokenizer_fingerprint}: tokenize with that one, or extend the model for this one",
            wanted=vocab.tokenizer_fingerprint,
            found=store.fingerprint,
        )
    sizes = store.info.codebook_sizes[: len(vocab.unit_sizes)]
    if sizes != vocab.unit_sizes:
        raise CodeRangeError(
            f"{store.folder} has codebooks of {list(store.info.codebook_sizes)} codes, vocabulary {vocab.name} of "
            f"{list(vocab.unit_sizes)}: they do not belong together"
        )
    held, said = store.info.unit_transform, vocab.transform
    if held.bpe is not None and (said is None or held.bpe != said.bpe):
        theirs = "not of BPE ids" if said is None or said.bpe is None else f"of BPE {said.bpe}"
        raise FingerprintError(
            f"{store.folder} holds ids of BPE {held.bpe}, the vocabulary is {theirs}: extend the model with --bpe "
            f"{store.folder}, or undo it (codectok convert --no-bpe)",
            wanted=None if said is None else said.bpe,
            found=held.bpe,
        )


def made_items(
    store: Store,
    task: SequenceTask,
    style: Style,
    vocab: AudioVocab,
    texts: Mapping[str, TextLine],
    target: Store | None = None,
    group: int = 4,
) -> Iterator[Made]:
    """The sequences of a task, in the store's order.

    Args:
        store: speech.
        task: what to make.
        style: how.
        vocab: for its markers.
        texts: by id; what they do not say, the labels of the store do.
        target: a store of target speech under the same ids.
        group: utterances at most to a sequence, for tasks of several: neighbours in the store of one group in the
            table, or without one of the same folder in their id.
    """
    items = task_items(store, vocab, texts, target, task)
    for item in _grouped(items, group) if task.group else (item for item, _ in items):
        try:
            if item.codes is not None and "codes" in task.needs and not item.codes.shape[1]:
                raise FormatError("no frames")
            yield Made(item.id, task.parts(item, style, vocab))
        except CodectokError as error:
            yield Made(item.id, None, str(error))


def task_items(
    store: Store, vocab: AudioVocab, texts: Mapping[str, TextLine], target: Store | None, task: SequenceTask
) -> Iterator[tuple[TaskItem, str | None]]:
    """Items in the order of the store, and the groups that they belong to; arguments as of ``made_items``."""
    k, rate = len(vocab.unit_sizes), store.info.frame_rate
    codes_alone = not task.group and {"codes", "target_codes"}.issuperset(task.needs)
    merged = store.info.transform is not None and not task.slices  # the vocabulary's own, by check_store
    for row in code_rows(store, () if codes_alone else LABELS, ids=merged):
        line = texts.get(row.id, NO_LINE).over(stored_line(row.labels))
        codes = row.codes.view(MergedColumns) if merged else row.expanded()
        answer = target[row.id].expand().codes[:k] if target is not None and row.id in target else None
        yield TaskItem(row.id, codes[:k], line.text, answer, line.target_text, line.words, rate), line.group


def _grouped(items: Iterator[tuple[TaskItem, str | None]], size: int) -> Iterator[TaskItem]:
    held: list[TaskItem] = []
    last = None
    for item, given in items:
        name = given or item.id.rpartition("/")[0]
        if held and (name != last or len(held) == size):
            yield replace(held[0], following=tuple(held[1:]))
            held = []
        held.append(item)
        last = name
    if held:
        yield replace(held[0], following=tuple(held[1:]))


def made_dialogues(
    store: Store, tokenizer: Any, vocab: AudioVocab, style: Style, texts: Mapping[str, TextLine]
) -> Iterator[Made]:
    """The dialogues of a table: contents are strings, or lists of {"text": ...} and {"audio": id of the store}."""
    for key, line in texts.items():
        try:
            if not line.messages:
                raise FormatError("no messages")
            shown = [
                {"role": m["role"], "content": _content(m["content"], m["role"], store, vocab, style)}
                for m in line.messages
            ]
            yield Made(key, chat_parts(tokenizer, shown))
        except CodectokError as error:
            yield Made(key, None, str(error))


def _content(content: Any, role: str, store: Store, vocab: AudioVocab, style: Style) -> list[Segment]:
    if isinstance(content, str):
        return [Text(content)]
    found: list[Segment] = []
    for one in content:
        match one:
            case {"text": str(text)}:
                found.append(Text(text))
            case {"audio": str(key)}:
                if key not in store:
                    raise FormatError(f"no audio {key!r} in the store")
                roles = style.spoken if role == "assistant" else style.heard
                codes = store[key].expand().codes[: len(vocab.unit_sizes)]
                found += [*map(Marker, roles[:1]), Audio(codes), *map(Marker, roles[1:])]
            case _:
                raise FormatError('content must be a string or a list of {"text": ...} and {"audio": id}')
    return found
