"""What the splits of a data set must not share, asserted in code.

A test list that is its training list, or a speaker who is in both, makes a table that says nothing. Every data set
names its rules; each is checked between train, valid and every test set whenever the data set is opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
from pathlib import Path

from codectok.errors import CodectokError

from ..contract import Clip, Dataset, LeakageError

Splits = dict[str, tuple[Clip, ...]]


def check_splits(dataset: Dataset) -> None:
    """Assert the rules of a data set, and that no utterance is in two splits, which always holds.

    Raises:
        LeakageError: two splits share what they must not; names an example.
        CodectokError: the data set names a rule that does not exist.
    """
    splits = {"train": dataset.train, "valid": dataset.valid, **dataset.tests}
    for rule in dict.fromkeys(("utterance-disjoint", *dataset.rules)):
        if rule not in RULES:
            raise CodectokError(f"{dataset.name} names the rule {rule!r}: there are {', '.join(RULES)}")
        for reason in RULES[rule](splits):
            raise LeakageError(f"{dataset.name} is not {rule}: {reason}")


def audio_files(clip: Clip) -> tuple[str, ...]:
    """Every file that a clip's samples or targets come from."""
    other = tuple(clip.mix.other.splitlines()) if clip.mix else ()
    return tuple(dict.fromkeys((clip.path, *clip.targets, *other)))


def _pairs(splits: Splits) -> Iterator[tuple[str, str]]:
    """Every two splits that must be apart: two test sets may share what they like."""
    for a, b in combinations(splits, 2):
        if a in ("train", "valid"):
            yield a, b


def _shared(splits: Splits, keys: Callable[[Clip], Iterable[str]], what: str, needed: bool = True) -> Iterator[str]:
    seen: dict[str, dict[str, str]] = {}
    for name, clips in splits.items():
        seen[name] = {}
        for clip in clips:
            for key in keys(clip):
                if key:
                    seen[name].setdefault(key, clip.id)
                elif needed:
                    yield f"clip {clip.id} of {name} has no {what}, so it cannot be told apart"
    for a, b in _pairs(splits):
        if both := seen[a].keys() & seen[b].keys():
            key = min(both)
            more = f" ({len(both)} such)" if len(both) > 1 else ""
            yield f"{what} {key!r} is in {a} (clip {seen[a][key]}) and in {b} (clip {seen[b][key]}){more}"


def _utterances(splits: Splits) -> Iterator[str]:
    for name, clips in splits.items():
        ids: set[str] = set()
        for clip in clips:
            if clip.id in ids:
                yield f"the id {clip.id!r} is twice in {name}"
            ids.add(clip.id)
    yield from _shared(splits, lambda clip: (clip.id,), "the id")
    spans: dict[str, list[tuple[float, float, str, str]]] = {}
    for name, clips in splits.items():
        for clip in clips:
            start = clip.offset or 0.0
            end = float("inf") if clip.duration is None else start + clip.duration
            for path in audio_files(clip):
                spans.setdefault(path, []).append((start, end, name, clip.id))
    apart = set(_pairs(splits))
    for path, found in spans.items():
        if len({name for _, _, name, _ in found}) > 1:
            for (a0, a1, a, i), (b0, b1, b, j) in combinations(found, 2):
                if ((a, b) in apart or (b, a) in apart) and a0 < b1 - 1e-6 and b0 < a1 - 1e-6:
                    yield f"{path} is in {a} (clip {i}) and, overlapping in time, in {b} (clip {j})"


def _content(splits: Splits) -> Iterator[str]:
    hashes: dict[str, str] = {}

    def of(clip: Clip) -> Iterator[str]:
        for path in audio_files(clip):
            if path not in hashes:
                hashes[path] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            yield hashes[path]

    yield from _shared(splits, of, "the audio of sha256")


def _speakers(splits: Splits) -> Iterator[str]:
    yield from _shared(splits, lambda clip: clip.speaker.split("+"), "speaker")


def _sessions(splits: Splits) -> Iterator[str]:
    yield from _shared(splits, lambda clip: (clip.session,), "session")


def _prompts(splits: Splits) -> Iterator[str]:
    yield from _shared(splits, lambda clip: (" ".join(clip.label.casefold().split()),), "the text")


def _closed(splits: Splits) -> Iterator[str]:
    known = {clip.speaker for clip in splits["train"]}
    for name, clips in splits.items():
        for clip in clips:
            if clip.speaker not in known:
                yield f"speaker {clip.speaker!r} of clip {clip.id} in {name} is not in train"


RULES: dict[str, Callable[[Splits], Iterator[str]]] = {
    "utterance-disjoint": _utterances,
    "content-disjoint": _content,
    "session-disjoint": _sessions,
    "speaker-disjoint": _speakers,
    "prompt-disjoint": _prompts,
    "closed-set": _closed,
}
"""Rules by name, each the reasons why it does not hold: no id, stretch of audio, file content, session, speaker or text
in two splits; every speaker known from training."""
