"""GigaSpeech (Chen et al. 2021): recognition; with GigaST (Ye et al. 2023): translation of it.

``GigaSpeech.json`` and ``audio/{audiobook,podcast,youtube}/*/*.opus``; ``GigaST.{de,zh}.json`` beside them. The audio
files are hours long: clips are stretches of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..contract import Clip, Dataset
from .entry import DatasetEntry
from .layout import apart, need, notes, share, words

WHAT = "GigaSpeech (GigaSpeech.json and audio/)"
NOT_SPEECH = ("<SIL>", "<MUSIC>", "<NOISE>", "<OTHER>")
PUNCTUATION = ("<COMMA>", "<PERIOD>", "<QUESTIONMARK>", "<EXCLAMATIONPOINT>")
TRAIN = "{S}"
_NOTE = "trained on subset S (250 h); speakers are not labelled, so recordings are kept apart instead"


def open_asr(name: str, root: Path) -> Dataset:
    """Words of subset S, dev and test; stretches that hold no speech are left out."""
    found: dict[str, list[Clip]] = {"{S}": [], "{DEV}": [], "{TEST}": []}
    for clip, subsets in _clips(root):
        for subset in subsets & found.keys():
            found[subset].append(clip)
    test = tuple(found["{TEST}"])
    return Dataset(
        name=name,
        task="asr",
        train=tuple(found[TRAIN]),
        valid=tuple(found["{DEV}"]),
        tests={"test": test},
        rules=("session-disjoint",),
        root=str(root),
        licence="Apache-2.0 (lists; the audio under its sources' terms)",
        note=_NOTE,
    )


def open_st(name: str, root: Path) -> Dataset:
    """German ("gigast-st") or Chinese ("gigast-zh-st") of subset S and the test set; 1 in 50 recordings for valid."""
    language = "zh" if "-zh-" in name else "de"
    translations = dict(_translations(root, language))
    train: list[Clip] = []
    valid: list[Clip] = []
    test: list[Clip] = []
    for clip, subsets in _clips(root):
        if clip.id in translations and subsets & {TRAIN, "{TEST}"}:
            split = test if "{TEST}" in subsets else valid if share(clip.session) < 0.02 else train
            split.append(replace(clip, label=translations[clip.id]))
    if not valid and train:  # so few recordings that the draw gave none: the last one
        last = max(clip.session for clip in train)
        valid = [clip for clip in train if clip.session == last]
        train = [clip for clip in train if clip.session != last]
    kept, lost = apart((*valid, *test), train, lambda clip: clip.session, "test recordings")
    return Dataset(
        name=name,
        task="st",
        train=kept,
        valid=tuple(valid),
        tests={"test": tuple(test)},
        rules=("session-disjoint",),
        root=str(root),
        licence="CC-BY-NC-4.0 (GigaST's text; the audio under its sources' terms)",
        note=notes(_NOTE, "training translations are a machine's, test translations are people's", lost),
    )


def _clips(root: Path) -> Iterator[tuple[Clip, set[str]]]:
    for audio in _load(need(root / "GigaSpeech.json", WHAT))["audios"]:
        for segment in audio["segments"]:
            text = segment["text_tn"]
            if any(mark in text for mark in NOT_SPEECH):
                continue
            for mark in PUNCTUATION:
                text = text.replace(mark, " ")
            start, end = float(segment["begin_time"]), float(segment["end_time"])
            clip = Clip(
                id=segment["sid"],
                path=str(root / audio["path"]),
                speaker="",
                label=words(text),
                session=audio["aid"],
                language="en",
                offset=start,
                duration=round(end - start, 3),
            )
            yield clip, set(segment["subsets"])


def _translations(root: Path, language: str) -> Iterator[tuple[str, str]]:
    path = need(root / f"GigaST.{language}.json", f"{WHAT} with GigaST.{language}.json in it")
    for audio in _load(path)["audios"]:
        for segment in audio["segments"]:
            if text := " ".join(segment["text_raw"].split()):
                yield segment["sid"], text


def _load(path: Path) -> Any:
    with open(path, encoding="utf-8") as f:
        return json.load(f)


ASR = DatasetEntry("gigaspeech-asr", "asr", open_asr, WHAT)
"""English of podcasts and talks: words."""
ST_DE = DatasetEntry("gigast-st", "st", open_st, f"{WHAT} and GigaST.de.json")
"""The same, translated into German."""
ST_ZH = DatasetEntry("gigast-zh-st", "st", open_st, f"{WHAT} and GigaST.zh.json")
"""The same, translated into Chinese."""
