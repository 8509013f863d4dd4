"""A store against what it was made from: the order of its manifest, and codes that a sample of its items gets again."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from codectok.corpus.plan import BATCH_SECONDS, plan
from codectok.corpus.reading import Failure
from codectok.corpus.steps import BatchEncoder, Outcome
from codectok.items.clips import seconds_of
from codectok.items.corpus import Corpus
from codectok.items.hashes import ItemHash
from codectok.items.item import Item
from codectok.items.labels import LabelHash
from codectok.processes import one_thread
from codectok.store.info import Row
from codectok.store.reader import IndexRow, Store
from codectok.tokenizer import Tokenizer
from codectok.tokens import Tokens

TIE_SHARE = 0.01
"""Frames of an item that may differ: two codes equally near are told apart by the last bit of a float, which another
machine computes otherwise. Audio or a tokenizer that has changed changes most frames."""


def check_manifest(store: Store, corpus: Corpus) -> Iterator[str]:
    """Yield a line for each way in which the store's items are not those of the corpus, in its order.

    Every item must be the next of the index, in its shard, or the next of ``errors.jsonl``.
    """
    digest, size = ItemHash(corpus.root), store.info.options.items_per_shard
    labels = LabelHash()
    here = store.numbers
    index, errors = store.index(), store.iter_errors()
    row, error = next(index, None), next(errors, None)
    wrong = 0
    for position, item in enumerate(corpus):
        digest.add(item)
        labels.add(item.id, item.labels)
        if position // size not in here or wrong:
            continue
        if row is not None and (row.id, row.shard) == (item.id, position // size):
            row = next(index, None)
        elif error is not None and error.id == item.id:
            error = next(errors, None)
        else:
            wrong += 1
            goes_on = "ends" if row is None else f"goes on with {row.id!r}"
            yield f"item {position} of {corpus.source}, {item.id!r}, is not where it should be: the store {goes_on}"
    if not wrong and (row is not None or error is not None):
        yield f"the store has items that are not in {corpus.source}, from {(row or error).id!r} on"  # type: ignore[union-attr]
    if digest.hexdigest() != store.info.manifest:
        yield f"{corpus.source} is not the corpus that the store was made from, or has changed since"
    elif store.info.labels is not None and labels.hexdigest() != store.info.labels.sha256:
        yield f"the labels of {corpus.source} are not those of the store (codectok convert --labels joins them)"


@dataclass
class Recheck:
    """What tokenizing a sample again came to.

    Attributes:
        items: that were tokenized.
        frames: that these have.
        differing: frames of which any code differs, ties that are allowed.
        problems: a line each.
    """

    items: int
    frames: int
    differing: int
    problems: list[str]


def check_sample(
    store: Store,
    corpus: Corpus,
    tokenizer: Tokenizer,
    num_items: int,
    *,
    seed: int = 0,
    batch_seconds: float | None = None,
) -> Recheck:
    """Tokenize some items again and compare the codes.

    Each is encoded alone; one that differs is encoded in the very batch that it had, since what else is in a batch may
    move an exact tie. Frames that differ even so are allowed up to ``TIE_SHARE`` of an item, and counted.

    Args:
        store: to check.
        corpus: that it was made from.
        tokenizer: that it was made with.
        num_items: to choose, at random.
        seed: of the choice.
        batch_seconds: that the store was made with; default, as it says.
    """
    found = Recheck(0, 0, 0, [])
    if not tokenizer.knows(store.fingerprint):
        found.problems.append(f"the store was made by tokenizer {store.fingerprint}, {tokenizer.name} is another")
        return found
    seconds = batch_seconds or float(getattr(store.info.options, "batch_seconds", BATCH_SECONDS))
    by_shard = _choose(store, num_items, seed)
    with one_thread(), ThreadPoolExecutor(1) as pool:
        encoder = BatchEncoder(tokenizer, len(store.info.codebook_sizes), store.info.options.dedup, pool)
        for number, items in _windows(corpus, store.info.options.items_per_shard, by_shard):
            chosen = by_shard[number]
            rows = _rows(store, number, chosen)
            for listed, (key, tokens) in zip(chosen, rows, strict=True):
                if (place := next((i for i, item in enumerate(items) if item.id == listed.id), None)) is None:
                    found.problems.append(f"{listed.id!r} is not in shard {number} of {corpus.source}")
                    continue
                found.items += 1
                found.frames += tokens.num_frames
                _compare(found, key, tokens, encoder, items, place, seconds)
    return found


def _compare(
    found: Recheck,
    key: str,
    tokens: Tokens,
    encoder: BatchEncoder,
    items: Sequence[Item],
    place: int,
    batch_seconds: float,
) -> None:
    causal = encoder.tokenizer.causal
    [alone] = plan(_lengths([items[place]]), batch_seconds, causal=causal)
    again = encoder.finish(encoder.begin([items[place]], alone.streamed)).outcomes[0]
    if not _same(again, tokens, encoder.tokenizer):
        batch = next(b for b in plan(_lengths(items), batch_seconds, causal=causal) if place in b.indices)
        outcomes = encoder.finish(encoder.begin([items[i] for i in batch.indices], batch.streamed)).outcomes
        again = outcomes[batch.indices.index(place)]
    if isinstance(again, Failure):
        found.problems.append(f"{key!r} cannot be tokenized again: {again.message}")
        return
    old, new = tokens.expand().codes.numpy(), again.tokens(encoder.tokenizer).expand().codes.numpy()
    if old.shape != new.shape or again.num_samples != tokens.num_samples:
        found.problems.append(f"{key!r} has {tokens.num_samples} samples in the store, {again.num_samples} now")
        return
    differing = int(np.count_nonzero((old != new).any(axis=0)))
    found.differing += differing
    if differing > max(1, TIE_SHARE * old.shape[1]):
        found.problems.append(f"{key!r} gets other codes now: {differing} of {old.shape[1]} frames differ")


def _lengths(items: Sequence[Item]) -> list[float]:
    return [math.inf if (seconds := seconds_of(item)) is None else seconds for item in items]


def _same(outcome: Outcome, tokens: Tokens, tokenizer: Tokenizer) -> bool:
    return not isinstance(outcome, Failure) and outcome.tokens(tokenizer) == tokens


def _choose(store: Store, num_items: int, seed: int) -> dict[int, list[IndexRow]]:
    """Random rows of the index, by shard."""
    places = sorted(random.Random(seed).sample(range(len(store)), min(num_items, len(store))))
    chosen: dict[int, list[IndexRow]] = {}
    index, at = store.index(), 0
    for place in places:
        row = next(islice(index, place - at, None))
        at = place + 1
        chosen.setdefault(row.shard, []).append(row)
    return chosen


def _rows(store: Store, number: int, chosen: Sequence[IndexRow]) -> list[Row]:
    wanted = {row.row for row in chosen}
    shard = list(store.numbers).index(number)
    return [row for i, row in enumerate(store.read_shard(shard)) if i in wanted]


def _windows(corpus: Corpus, size: int, wanted: dict[int, list[IndexRow]]) -> Iterator[tuple[int, list[Item]]]:
    """Items of the shards that are wanted."""
    items: list[Item] = []
    number = 0
    for position, item in enumerate(corpus):
        if position // size != number:
            if items:
                yield number, items
            items, number = [], position // size
        if number in wanted:
            items.append(item)
    if items:
        yield number, items
