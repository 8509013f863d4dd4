"""From a corpus to a sample of frames: features stream through an encoder, a reservoir keeps some of them.

Padding never enters: features are per clip, of exact length. What is kept is a pure function of the corpus, the encoder
and the options, so a run that was killed and started again ends with the same sample as one that was not.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from codectok.errors import CodectokError
from codectok.fingerprint import fingerprint
from codectok.items.corpus import Corpus
from kmeans_units.clips import Picks, ReadClip, batches, read_ahead
from kmeans_units.sample_options import SampleOptions
from kmeans_units.sample_run import Counts, SampleRun

if TYPE_CHECKING:
    from codectok.units import SpeechEncoder
    from kmeans_units.dump import Dump

VERSION = 1
"""Of the way frames are drawn."""


@dataclass(frozen=True)
class FrameSample:
    """Frames to fit on and held-out ones, float32 [N, D] of each layer, and what they were drawn from."""

    fit: list[np.ndarray]
    valid: list[np.ndarray]
    counts: Counts
    data_hash: str


def files_hash(corpus: Corpus) -> str:
    """Hash over size and time of change of each clip's file: audio replaced under its name is other audio.

    What is in the files is not read, and nothing is kept: a corpus may have millions.
    """
    digest = hashlib.blake2b(digest_size=16)
    for item in corpus:
        try:
            stat = os.stat(item.path)
            digest.update(b"%d %d\n" % (stat.st_size, stat.st_mtime_ns))
        except OSError:
            digest.update(b"missing\n")
    return digest.hexdigest()


def sample_frames(
    corpus: Corpus,
    encoder: SpeechEncoder,
    options: SampleOptions,
    *,
    cache: Path | None = None,
    dump: Dump | None = None,
    save_every: float = 120.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FrameSample:
    """Encode a corpus and keep a sample of its frames.

    Args:
        corpus: items to read; those that cannot be read or encoded are counted and left out.
        encoder: opened with all layers that are wanted.
        options: which frames.
        cache: folder where the sample so far is kept, and found again: by a run that goes on with a killed one, or one
            that only fits other clusters.
        dump: gets the features of every clip as well.
        save_every: seconds of work that a killed run loses at most.
        progress: told (clips done, clips in all).

    Raises:
        CodectokError: nothing can be read, or the corpus is malformed.
    """
    scan = corpus.scan()
    picks = Picks.draw((item.id for item in corpus), scan.num_items, options)
    source = {
        "data": scan.sha256,
        "files": files_hash(corpus),
        "encoder": encoder.fingerprint,
        "dtype": encoder.dtype,
        "clips": options.clips,
    }
    key = source | asdict(options) | {"layers": list(encoder.layers), "version": VERSION}
    dims = [encoder.layer_dim] * len(encoder.layers)
    share = options.percent / 100 if options.percent else 1.0
    file = None if cache is None else cache / f"{fingerprint(key)}.npz"
    run = SampleRun(dims, options.bound(encoder), share, options.seed, key, file)
    run.resume()
    dumping = dump is not None and not dump.finished(source | {"seed": options.seed})
    if dump is not None and dumping and not (run.shards >= 0 and not run.done and dump.resume(run.shards)):
        run.clear()
        dump.resume(0)
    progress(run.counted, picks.total)
    if not run.done:
        _pass(corpus, encoder, picks, run, dump if dumping else None, save_every, progress)
    if dump is not None and dumping:
        dump.finish(source | {"seed": options.seed})
    if not run.counts.clips:
        raise CodectokError(f"no clip of {corpus.source} could be used; the first: {run.counts.failures[0]}")
    if not run.done:
        run.done = True
        run.save()
    return FrameSample(run.fit.layers(), run.valid.layers(), run.counts, scan.sha256)


def _pass(
    corpus: Corpus,
    encoder: SpeechEncoder,
    picks: Picks,
    run: SampleRun,
    dump: Dump | None,
    save_every: float,
    progress: Callable[[int, int], None],
) -> None:
    """Encode what is left of the corpus."""
    saved = time.monotonic()
    left = ((i, item) for i, item in enumerate(corpus) if i >= run.next)
    for batch in batches(read_ahead(left, picks, encoder.sample_rate)):
        for clip, features in _encode(batch, encoder):
            if isinstance(features, str):
                run.fail(clip, features)
                continue
            run.take(clip, features, picks.held_out(clip.item.id))
            if dump is not None:
                dump.add(clip, run.split(features))
        run.next = batch[-1].index + 1
        progress(run.counted, picks.total)
        # With a dump, the state is kept at the ends of shards, so that it fits the files.
        due = dump.boundary() if dump is not None else time.monotonic() - saved >= save_every
        if due:
            run.shards = -1 if dump is None else dump.shards
            run.save()
            saved = time.monotonic()
    if dump is not None and dump.boundary(last=True):
        run.shards = dump.shards
        run.save()


def _encode(batch: list[ReadClip], encoder: SpeechEncoder) -> Iterator[tuple[ReadClip, np.ndarray | str]]:
    """Features [T, D of all layers] of each clip, or what is wrong with it."""
    good = [(c, c.samples) for c in batch if c.samples is not None]
    try:
        found: dict[int, np.ndarray | str] = {
            c.index: f.numpy() for (c, _), f in zip(good, encoder.features_batch([x for _, x in good]), strict=True)
        }
    except CodectokError:
        found = {c.index: _alone(samples, encoder) for c, samples in good}
    for clip in batch:
        yield clip, found.get(clip.index, clip.error)


def _alone(samples: np.ndarray, encoder: SpeechEncoder) -> np.ndarray | str:
    try:
        return encoder.features(samples).numpy()
    except CodectokError as error:
        return str(error)
