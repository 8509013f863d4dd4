"""What a run would take: time and disk space from a sample of the corpus, each with its spread. Nothing is written."""

from __future__ import annotations

import math
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from codectok.corpus.job import TokenizeJob
from codectok.corpus.local import ShardWorker
from codectok.errors import CodectokError
from codectok.items.clips import seconds_of
from codectok.items.corpus import Corpus, nothing_in
from codectok.items.item import Item
from codectok.items.labels import LabelTypes
from codectok.store.formats.table import get_format
from codectok.store.info import Row, StoreInfo, StoreOptions, shard_path
from codectok.store.label_columns import kept
from codectok.tokenizer import Tokenizer

MEASURED_ITEMS = 2000
"""Headers that are read at most, where the manifest has no durations."""
GROUPS = 4
"""Into which the items that are tokenized are cut: how much these differ tells the spread."""
ENOUGH_SECONDS = 60.0
"""No further group is begun after this."""
BUSY_SHARE = 0.9
"""Of the time that a worker has, that it tokenizes in; in the rest shards are written and others waited for."""
TWO_SIDED = 1.96
"""Standard errors to either side that hold 95 % of a normal distribution."""


@dataclass(frozen=True)
class Range:
    """An estimate, and between what it lies in 19 of 20 cases as far as the sample can tell."""

    value: float
    low: float
    high: float

    @staticmethod
    def of(value: float, error: float) -> Range:
        """From a standard error."""
        return Range(value, max(0.0, value - TWO_SIDED * error), value + TWO_SIDED * error)

    def plus(self, more: float) -> Range:
        """With something that is known."""
        return Range(self.value + more, self.low + more, self.high + more)

    def times(self, factor: float) -> Range:
        """In another unit."""
        return Range(factor * self.value, factor * self.low, factor * self.high)


@dataclass(frozen=True)
class Estimate:
    """What a run would take.

    Attributes:
        items: of the corpus, counted.
        hours: of audio.
        x_real_time: seconds of audio in a second, by all workers together.
        run_hours: from the first item to the last.
        start_seconds: before and after that, in which libraries and tokenizer are loaded; 0 where that is not known.
        megabytes: of the shards.
        failed: items, by the share of the sample that did.
        workers: that the figures are for.
        sampled: items that were tokenized.
    """

    items: int
    hours: Range
    x_real_time: Range
    run_hours: Range
    start_seconds: float
    megabytes: Range
    failed: float
    workers: int
    sampled: int

    def rows(self) -> list[dict[str, object]]:
        """As a table: what, the estimate, and from where to where it may lie (None: counted, or not known)."""
        many = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        clock = self.run_hours.plus(self.start_seconds / 3600)
        most = clock.high
        unit, scale = ("hours", 1) if most >= 2 else ("minutes", 60) if most >= 1 / 30 else ("seconds", 3600)
        size, shrink = ("GB", 1e-3) if self.megabytes.value >= 1000 else ("MB", 1)
        ranges = {
            "hours of audio": self.hours,
            f"x real time, {many}": self.x_real_time,
            f"{unit} on the clock, {many}": clock.times(scale),
            f"{size} on disk": self.megabytes.times(shrink),
        }
        return [
            {"what": "items", "estimate": self.items, "from": None, "to": None},
            *({"what": k, "estimate": r.value, "from": r.low, "to": r.high} for k, r in ranges.items()),
            {"what": f"items that fail, by {self.sampled}", "estimate": self.failed, "from": None, "to": None},
        ]


def estimate(
    corpus: Corpus,
    tokenizer: Tokenizer,
    num_codebooks: int,
    *,
    sample_items: int = 64,
    workers: int = 1,
    options: StoreOptions | None = None,
    format: str = "parquet",
    from_start: bool = False,
    seed: int = 0,
) -> Estimate:
    """Estimate a run on this machine.

    All items are counted. Hours come from the manifest where it has all durations, else from file headers, of a random
    sample if there are many; speed and size from tokenizing a smaller random sample in one process, as a worker would.

    Args:
        corpus: to be tokenized.
        tokenizer: that would do it.
        num_codebooks: to keep.
        sample_items: to tokenize.
        workers: processes that would do it, taken to be as fast as this one.
        options: of the store.
        format: of the store.
        from_start: this process has done nothing but start for this: what it computed, the sample apart, is what a
            run computes before its first item and after its last, and stands in ``start_seconds``.
        seed: of the choice.

    Raises:
        CodectokError: there are no items, or none of the sample could be tokenized.
        FormatError: the format cannot hold such tokens.
    """
    options = options or StoreOptions()
    sizes = tokenizer.codebook_sizes[:num_codebooks]
    facts = (tokenizer.name, tokenizer.fingerprint, tokenizer.sample_rate, tokenizer.frame_rate, sizes)
    info = StoreInfo(format, *facts, options, "")
    get_format(format).check(info)
    generator = random.Random(seed)
    items, known, sample, types = _count(corpus, generator)
    info = replace(info, labels=kept(get_format(format).labels, types, ""))
    if not items:
        raise CodectokError(nothing_in(corpus.source))
    hours = _hours(items, known, sample)
    chosen = generator.sample(sample, min(sample_items, len(sample)))
    job = TokenizeJob("", tokenizer.fingerprint, num_codebooks, options.dedup, options.batch_seconds)
    before = time.process_time()
    groups, rows, failed, done = _tokenize(ShardWorker(job, tokenizer), chosen)
    spent = time.process_time() - before
    if not rows:
        raise CodectokError(f"none of {done} items of {corpus.source} could be tokenized: tokenize one to see why")
    cost = _ratio([took for took, _ in groups], [audio for _, audio in groups])
    speed = [workers * BUSY_SHARE / max(c, 1e-9) for c in (cost.value, cost.high, cost.low)]
    used = [len(tokens.codes[0]) for _, tokens in rows]
    megabytes = _size(info, rows, used, items, hours)  # this loads the store's format
    return Estimate(
        items=items,
        hours=hours,
        x_real_time=Range(*speed),
        run_hours=Range(hours.value / speed[0], hours.low / speed[2], hours.high / speed[1]),
        start_seconds=time.process_time() - spent if from_start else 0.0,
        megabytes=megabytes,
        failed=items * failed / done,
        workers=workers,
        sampled=done,
    )


def _count(corpus: Corpus, generator: random.Random) -> tuple[int, float | None, list[Item], dict[str, str]]:
    """Number of items, their seconds if the manifest has all, a random sample of them, and the types of labels."""
    sample: list[Item] = []
    types = LabelTypes()
    count, seconds, known = 0, 0.0, True
    for item in corpus:
        count += 1
        types.add(item.labels)
        known = known and item.duration is not None
        seconds += item.duration or 0.0
        if len(sample) < MEASURED_ITEMS:
            sample.append(item)
        elif (place := generator.randrange(count)) < MEASURED_ITEMS:
            sample[place] = item
    return count, seconds if known else None, sample, types.types()


def _hours(items: int, known: float | None, sample: Sequence[Item]) -> Range:
    if known is not None:
        return Range.of(known / 3600, 0.0)
    seconds = np.array([seconds_of(item) or 0.0 for item in sample])
    left_out = 1 - len(sample) / items
    spread = float(seconds.std(ddof=1)) if len(seconds) > 1 else 0.0
    return Range.of(items * float(seconds.mean()) / 3600, items * spread * math.sqrt(left_out / len(seconds)) / 3600)


def _tokenize(worker: ShardWorker, items: Sequence[Item]) -> tuple[list[tuple[float, float]], list[Row], int, int]:
    """(Seconds, seconds of audio) of each group, rows, and how many items failed, of how many."""
    worker.tokenize(items[:1])  # the first is slower: libraries are loaded
    groups, rows, failed, done = [], [], 0, 0
    started = time.perf_counter()
    for i in range(min(GROUPS, len(items))):
        group = items[i::GROUPS]
        begun = time.perf_counter()
        result = worker.tokenize(group)
        if audio := result.timing["audio_seconds"]:
            groups.append((time.perf_counter() - begun, audio))
        rows += result.rows
        failed, done = failed + result.num_failed, done + len(group)
        if time.perf_counter() - started > ENOUGH_SECONDS:
            break
    return groups, rows, failed, done


def _ratio(above: Sequence[float], below: Sequence[float]) -> Range:
    """Sum over sum, with the standard error of a ratio estimate (Cochran, 1977, section 6.4)."""
    x, y = np.array(below), np.array(above)
    ratio = float(y.sum() / x.sum())
    error = math.sqrt(((y - ratio * x) ** 2).sum() / (len(x) - 1) / len(x)) / float(x.mean()) if len(x) > 1 else 0.0
    return Range.of(ratio, error)


def _size(info: StoreInfo, rows: Sequence[Row], columns: Sequence[int], items: int, hours: Range) -> Range:
    """Megabytes: what the second half of the sample adds to a shard, for each second, and for each shard the rest."""
    half = (len(rows) + 1) // 2 if len(rows) > 1 else 0
    first, whole = _bytes(info, rows[:half]), _bytes(info, rows)
    durations = [tokens.duration for _, tokens in rows]
    added = sum(durations[half:])
    each = (whole - first) / added if added else 0.0
    headers = max(0.0, whole - each * sum(durations)) * math.ceil(items / info.options.items_per_shard)
    seen = _ratio(columns, [max(d, 1e-9) for d in durations])
    share = (seen.high - seen.value) / seen.value if seen.value else 0.0
    ends = ((1.0, hours.value), (1 - share, hours.low), (1 + share, hours.high))
    return Range(*((headers + each * factor * h * 3600) / 1e6 for factor, h in ends))


def _bytes(info: StoreInfo, rows: Sequence[Row]) -> int:
    with tempfile.TemporaryDirectory(prefix="codectok-") as folder:
        form = get_format(info.format)
        form.write_shard(shard_path(Path(folder), 0, form.suffixes[0]), rows, info)
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
