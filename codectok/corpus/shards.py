"""One shard's worth of items through the tokenizer: the unit of work of every engine.

What comes out depends on these items, the tokenizer and the batch size only, never on other shards or on threads.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import numpy as np

from codectok.corpus.clips import read_clip, seconds_of
from codectok.corpus.manifest import Item
from codectok.store.base import ItemError, Row
from codectok.tokenizer import Tokenizer
from codectok.tokens import Tokens

P = ParamSpec("P")
T = TypeVar("T")

LONG_SECONDS = 60.0
"""Files longer than this are streamed from disk, where the tokenizer is causal."""
BATCHES_AHEAD = 2
"""Batches whose audio is decoded while the model runs: what bounds memory."""


@dataclass(frozen=True)
class Work:
    """What is done to each item.

    Attributes:
        tokenizer: that encodes.
        num_codebooks: to keep.
        dedup: whether runs of equal columns are merged.
        batch_seconds: most audio in one batch, padding included, in seconds.
    """

    tokenizer: Tokenizer
    num_codebooks: int
    dedup: bool
    batch_seconds: float


@dataclass(frozen=True)
class _Failure:
    """What is kept of an exception: not itself, since its traceback would hold the audio in memory."""

    kind: str
    message: str


def tokenize_items(
    items: Sequence[Item], work: Work, pool: Executor, done: Callable[[int], None]
) -> tuple[list[Row], list[ItemError]]:
    """Tokenize the items of one shard; both lists are in the items' order.

    Args:
        items: of the shard.
        work: what to do.
        pool: threads that read and resample audio.
        done: told the number of items that each step finished or failed.
    """
    results: dict[int, Tokens | _Failure] = {}
    # A length that nothing tells counts as endless: such a clip gets a batch of its own.
    lengths = [math.inf if seconds is None else seconds for seconds in pool.map(seconds_of, items)]
    streamed = [i for i, item in enumerate(items) if _is_streamed(item, lengths[i], work)]
    for i in streamed:
        results[i] = _attempt(work.tokenizer.encode, items[i].path, num_codebooks=work.num_codebooks)
        done(1)
    rest = sorted(set(range(len(items))) - set(streamed), key=lambda i: (lengths[i], i))
    for batch, futures in _read_ahead(items, _batches(rest, lengths, work.batch_seconds), work, pool):
        clips: dict[int, np.ndarray] = {}
        for i, future in zip(batch, futures, strict=True):
            clip = _attempt(future.result)
            if isinstance(clip, _Failure):
                results[i] = clip
            else:
                clips[i] = clip
        results |= dict(zip(clips, _encode(list(clips.values()), work), strict=True))
        done(len(batch))
    rows: list[Row] = []
    errors: list[ItemError] = []
    for i, item in enumerate(items):
        result = results[i]
        if isinstance(result, _Failure):
            errors.append(ItemError(item.id, item.path, result.kind, result.message))
        else:
            rows.append((item.id, result.dedup() if work.dedup else result))
    return rows, errors


def _is_streamed(item: Item, seconds: float, work: Work) -> bool:
    return work.tokenizer.causal and item.whole and LONG_SECONDS < seconds < math.inf


def _batches(order: Sequence[int], lengths: Sequence[float], batch_seconds: float) -> Iterator[list[int]]:
    """Neighbours in length, as many as fit in ``batch_seconds`` padded to the longest; at least one."""
    batch: list[int] = []
    for i in order:
        # The order is ascending: the newest is the longest, and sets the padded length of all.
        if batch and (len(batch) + 1) * lengths[i] > batch_seconds:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _read_ahead(
    items: Sequence[Item], batches: Iterator[list[int]], work: Work, pool: Executor
) -> Iterator[tuple[list[int], list[Future[np.ndarray]]]]:
    waiting: deque[tuple[list[int], list[Future[np.ndarray]]]] = deque()
    for batch in batches:
        waiting.append((batch, [pool.submit(read_clip, items[i], work.tokenizer.sample_rate) for i in batch]))
        if len(waiting) > BATCHES_AHEAD:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()


def _encode(clips: list[np.ndarray], work: Work) -> list[Tokens | _Failure]:
    """Encode as one batch; if that fails, one by one, so that a bad clip doesn't take its neighbours."""
    tokenizer, k = work.tokenizer, work.num_codebooks
    together = _attempt(tokenizer.encode_batch, clips, tokenizer.sample_rate, num_codebooks=k)
    if not isinstance(together, _Failure):
        return list(together)
    return [_attempt(tokenizer.encode, clip, tokenizer.sample_rate, num_codebooks=k) for clip in clips]


def _attempt(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | _Failure:
    try:
        return function(*args, **kwargs)
    except ImportError:
        raise  # a missing package fails every item: better to stop and say so
    except Exception as e:
        return _Failure(type(e).__name__, " ".join(str(e).split())[:500] or type(e).__name__)
