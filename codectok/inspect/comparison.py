"""What ``codectok inspect`` shows, as plain data: clips, their reconstructions, and a summary of each setting."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from codectok import audio as _audio
from codectok import metrics
from codectok.metrics.level import OCTAVE_METRICS
from codectok.metrics.reconstruction import QUALITY
from codectok.metrics.segments import Segment
from codectok.tokenizer import Tokenizer
from codectok.tokens import Tokens

METRICS = QUALITY
"""Of the summary and of every clip."""
OCTAVES = OCTAVE_METRICS
"""Beside them, in one line."""


@dataclass(frozen=True)
class TokenizerSetting:
    """A tokenizer with a number of codebooks: one row of the summary, one row of every clip."""

    tokenizer: Tokenizer
    num_codebooks: int

    @property
    def label(self) -> str:
        """Name and number of codebooks."""
        many = "s" if self.num_codebooks > 1 else ""
        return f"{self.tokenizer.name}, {self.num_codebooks} codebook{many}"

    @property
    def bitrate(self) -> float:
        """Nominal kbit/s."""
        return self.tokenizer.bitrate(self.num_codebooks)

    @property
    def token_rate(self) -> float:
        """Nominal tokens per second."""
        return self.num_codebooks * float(self.tokenizer.frame_rate)


@dataclass(frozen=True)
class Decoded:
    """One clip through one setting. ``wave`` is float32 [num_samples], None where the tokenizer cannot decode."""

    setting: TokenizerSetting
    tokens: Tokens
    wave: np.ndarray | None
    values: dict[str, float]
    failures: dict[str, str]


@dataclass(frozen=True)
class InspectedClip:
    """One input: ``samples`` float32 [S] at ``rate`` Hz, the first part of ``total_seconds`` of audio."""

    name: str
    samples: np.ndarray
    rate: int
    total_seconds: float
    reconstructions: tuple[Decoded, ...]
    phones: tuple[Segment, ...] = ()
    """Labels in time, where they are known."""

    @property
    def seconds(self) -> float:
        """Length of ``samples``."""
        return len(self.samples) / self.rate


@dataclass(frozen=True)
class SettingSummary:
    """One setting over all clips.

    Attributes:
        scores: of each metric that gave a value on some clip: mean and interval, or median and spread if signed.
        failures: reasons of each metric on the clips where it failed.
        used: distinct codes of each level.
        entropy: kbit/s that an ideal memoryless coder of each level would need, from the code counts; too low where
            the frames are not many more than the codes.
        num_frames: frames counted.
    """

    setting: TokenizerSetting
    scores: dict[str, metrics.Interval | metrics.Spread]
    failures: dict[str, list[str]]
    used: tuple[int, ...]
    entropy: float
    num_frames: int

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; rates in kbit/s and tokens/s."""
        return {
            "tokenizer": self.setting.tokenizer.name,
            "codebooks": self.setting.num_codebooks,
            "bitrate": self.setting.bitrate,
            "entropy_bitrate": self.entropy,
            "token_rate": self.setting.token_rate,
            "metrics": {name: asdict(score) for name, score in self.scores.items()},
            "failures": self.failures,
            "used": list(self.used),
            "frames": self.num_frames,
        }


def choose_settings(
    tokenizers: Sequence[Tokenizer], codebooks: Sequence[int], bitrates: Sequence[float]
) -> tuple[list[TokenizerSetting], list[str]]:
    """Every tokenizer at every number of codebooks or bitrate; and notes on those that were lowered to what it has.

    Raises:
        CodeRangeError: a bitrate below a tokenizer's first codebook.
    """
    settings: list[TokenizerSetting] = []
    notes: list[str] = []
    for tokenizer in tokenizers:
        top = len(tokenizer.codebook_sizes)
        wanted = [tokenizer.choose_codebooks(None, rate) for rate in bitrates] + [min(k, top) for k in codebooks]
        if any(k > top for k in codebooks):
            many = "s" if top > 1 else ""
            notes.append(f"{tokenizer.name} has {top} codebook{many}: shown with {top} where more were asked for")
        settings += [TokenizerSetting(tokenizer, k) for k in dict.fromkeys(wanted or [top])]
    return settings, notes


def read_start(path: str | os.PathLike[str], seconds: float) -> tuple[np.ndarray, int, float]:
    """The first ``seconds`` of a file, float32 [S], its rate in Hz, and the length of the whole in seconds.

    Raises:
        AudioError: unreadable, empty or not finite.
    """
    with _audio.AudioReader(path) as reader:
        samples = np.concatenate(list(reader.blocks(stop=max(1, round(seconds * reader.rate)))))
        _audio.tell(reader)
        return samples, reader.rate, reader.num_samples / reader.rate


def compare(
    path: str | os.PathLike[str], settings: Sequence[TokenizerSetting], seconds: float, phones: Sequence[Segment] = ()
) -> InspectedClip:
    """Run the start of one file through every setting; ``phones`` are its labels, where they are known.

    A tokenizer encodes once, at the most codebooks asked of it: fewer codebooks are the first rows of the same codes.

    Raises:
        AudioError: unreadable, empty or not finite.
    """
    samples, rate, total = read_start(path, seconds)
    full: dict[int, Tokens] = {}
    for setting in settings:
        key = id(setting.tokenizer)
        if key not in full:
            most = max(s.num_codebooks for s in settings if s.tokenizer is setting.tokenizer)
            full[key] = setting.tokenizer.encode(samples, rate, num_codebooks=most)
    rows = tuple(_reconstruct(s, full[id(s.tokenizer)].first(s.num_codebooks), samples, rate) for s in settings)
    return InspectedClip(Path(path).name, samples, rate, total, rows, tuple(phones))


def _reconstruct(setting: TokenizerSetting, tokens: Tokens, samples: np.ndarray, rate: int) -> Decoded:
    tokenizer = setting.tokenizer
    if not tokenizer.can_decode:
        return Decoded(setting, tokens, None, {}, {})
    wave = tokenizer.decode(tokens)
    original = _audio.resample(samples, rate, tokenizer.sample_rate)
    found = metrics.compute((*METRICS, *OCTAVES), original, wave, tokenizer.sample_rate)
    return Decoded(setting, tokens, wave, *found)


def summarize(clips: Sequence[InspectedClip]) -> list[SettingSummary]:
    """Each setting over all clips, in the order of the settings."""
    return [_summary([clip.reconstructions[i] for clip in clips]) for i in range(len(clips[0].reconstructions))]


def _summary(rows: Sequence[Decoded]) -> SettingSummary:
    scores, failures = {}, {}
    for name in (*METRICS, *OCTAVES):
        values = [row.values[name] for row in rows if name in row.values]
        if values:
            scores[name] = metrics.summarize(name, values)
        failures[name] = [row.failures[name] for row in rows if name in row.failures]
    setting = rows[0].setting
    codes = torch.cat([row.tokens.codes for row in rows], 1)
    used, bits = metrics.code_usage(codes)
    return SettingSummary(
        setting, scores, failures, used, sum(bits) * float(setting.tokenizer.frame_rate) / 1000, codes.shape[1]
    )
