"""What the harness is made of: clips and data sets, inputs, examples, budgets, outcomes.

A *suite* lists tasks, inputs, probes and seeds; one of each is a *cell*; a cell ends as one *row* of results.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Annotated, Any, Literal

from annotated_types import Len
from torch import Tensor

from codectok.errors import CodectokError
from codectok.settings.kinds import Count, Natural, Positive

RATE = 16000
"""Hz of the audio that inputs are given, and that every signal metric is computed at."""

InputKind = Literal["discrete", "quantized", "continuous", "audio"]
"""Codes [K, T]; what codes say of the features [T, D]; features [T, D]; samples, for resynthesis only."""


class LeakageError(CodectokError):
    """Splits of a data set that share what they must not share."""


class NotComputed(CodectokError):
    """A cell that cannot be run here (a package, folder or program is missing): shown as "N.C." with its reason."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Something that is added to a clip's audio when it is read, the same samples each time.

    Attributes:
        kind: "speaker" adds the clip at ``other``; "white" and "babble" add noise drawn from ``seed``.
        snr_db: level of the clip over what is added, in dB.
        other: audio file of the second speaker; babble: empty.
        seed: of the noise.
    """

    kind: Literal["speaker", "white", "babble"]
    snr_db: float
    other: str = ""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled utterance.

    Attributes:
        id: unique in its data set.
        path: audio file that the input sees.
        speaker: who speaks; of two, joined by "+".
        label: what is to be told: a class, a transcript, phones parted by spaces, a translation, or the text to speak.
        session: recording it belongs to (a video, a dialogue), where closed-set splits must not share it.
        language: BCP 47, "" where unknown.
        offset: start in the file, s; None is its start.
        duration: length, s; None is up to the file's end.
        targets: clean audio files, for enhancement (1) and separation (2).
        mix: what is added to ``path`` when it is read; the clean clip is then the (first) target.
    """

    id: str
    path: str
    speaker: str
    label: str = ""
    session: str = ""
    language: str = ""
    offset: float | None = None
    duration: float | None = None
    targets: tuple[str, ...] = ()
    mix: Mix | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """Two clips of the test set, by id, and whether one person speaks both."""

    enrol: str
    test: str
    same: bool


@dataclass(frozen=True)
class Dataset:
    """Clips of one task, split.

    Attributes:
        name: as suites name it, e.g. "librispeech-asr", "mini-lid".
        task: name of the task, e.g. "asr".
        train: clips that probes are trained on.
        valid: clips that settle the learning rate and when to stop.
        tests: named test sets, e.g. {"test-clean": ..., "test-other": ...}; one set is named "test".
        rules: what the splits must not share (see ``benchmarks/datasets/splits.py``); checked when it is opened.
        trials: pairs for verification, of clips in the test set of that name.
        root: folder that the clips' paths lie under: a moved data set keeps its hash.
        licence: SPDX or a few words.
        note: what a reader of the results must know (one speaker, prompts shared, ...).
    """

    name: str
    task: str
    train: tuple[Clip, ...]
    valid: tuple[Clip, ...]
    tests: Mapping[str, tuple[Clip, ...]]
    rules: tuple[str, ...]
    trials: Mapping[str, tuple[Trial, ...]] = field(default_factory=dict)
    root: str = ""
    licence: str = ""
    note: str = ""

    @property
    def sha256(self) -> str:
        """Of everything above but notes; paths count relative to ``root``."""
        digest = hashlib.sha256()
        parts: dict[str, Any] = {"train": self.train, "valid": self.valid, **self.tests, **self.trials}
        digest.update(json.dumps([self.name, self.task, self.rules]).encode())
        for name, rows in parts.items():
            for row in rows:
                line = json.dumps([name, asdict(row)], sort_keys=True, ensure_ascii=False)
                digest.update(line.replace(self.root.rstrip("/") + "/", "").encode() if self.root else line.encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class InputInfo:
    """What a probe is fed with, and what stands beside its scores.

    Attributes:
        spec: as suites write it, e.g. "speech@1.5", "speech:features", "logmel"; see ``benchmarks/inputs``.
        label: as tables head it.
        kind: see :data:`InputKind`.
        tokenizer: name of the tokenizer, "" for log-mel.
        fingerprint: of the tokenizer, or of what stands in its place: settles the cache.
        frame_rate: frames per second, exact.
        codebook_sizes: of discrete inputs.
        dim: D of the others.
        bitrate_kbps: nominal, computed; None for continuous inputs.
        token_rate: tokens per second of audio before deduplication; None for continuous inputs.
        fitted_on: {clip path: speaker} is not kept here, only words for the row: which clips and speakers the
            tokenizer was fitted on ("nothing", "unknown", or the file that lists them).
    """

    spec: str
    label: str
    kind: InputKind
    tokenizer: str
    fingerprint: str
    frame_rate: Fraction
    codebook_sizes: tuple[int, ...] = ()
    dim: int = 0
    bitrate_kbps: float | None = None
    token_rate: float | None = None
    fitted_on: str = "nothing"


@dataclass(frozen=True)
class Example:
    """A clip as a probe sees it.

    Attributes:
        clip: that it was made from.
        x: int64 [K, T] for discrete inputs, float32 [T, D] for the others.
        y: the same of each target, for generative tasks.
        num_samples: at ``RATE``.
    """

    clip: Clip
    x: Tensor
    y: tuple[Tensor, ...] = ()
    num_samples: int = 0


@dataclass(frozen=True)
class Split:
    """The examples of one cell, as the runner hands them to the task; order as in the data set."""

    train: tuple[Example, ...]
    valid: tuple[Example, ...]
    tests: Mapping[str, tuple[Example, ...]]


@dataclass(frozen=True)
class Budget:
    """What every input of a task gets alike."""

    steps: Natural
    """Updates of the final training."""
    batch: Count = 16
    """Clips in a batch."""
    rates: Annotated[tuple[Positive, ...], Len(1)] = (1e-3,)
    """Learning rates that are tried, each for ``sweep_steps``; the best on the validation set is trained in full."""
    sweep_steps: Natural = 0
    """Updates a rate is tried for; 0 with one rate."""


@dataclass(frozen=True)
class Score:
    """One figure of one test set. ``value`` is None where no item could be scored.

    Attributes:
        metric: name in the registry of metrics.
        test: name of the test set.
        value: in the metric's own unit; corpus-level where the field computes it so.
        n: items in the value.
        failures: items that could not be scored: counted, never in the value.
    """

    metric: str
    test: str
    value: float | None
    n: int
    failures: int = 0


@dataclass(frozen=True)
class ItemScore:
    """One clip's part in a figure, for paired tests: errors and words of WER, 1 of 1 for a right class.

    A corpus-level rate is ``sum(value) / sum(weight)`` over clips; a mean has weight 1.
    """

    test: str
    metric: str
    clip: str
    value: float
    weight: float = 1.0


@dataclass(frozen=True)
class Outcome:
    """What a task gives back for one cell.

    Attributes:
        scores: of every metric and test set.
        items: of the metrics that are sums over clips.
        rate: learning rate that the sweep chose; None without training.
        steps: updates made.
        parameters: values trained.
        macs_per_second: multiply-accumulates of probe per second of audio; None if unknown.
        chance: {metric: (low, high)}, where scores at chance lie with 95 %, by the test labels.
        notes: words for the row, such as the judge's name.
        failures: {clip id: reason}.
        audio: {clip id: float32 [S] at ``RATE``} of a few generated clips, to listen to.
    """

    scores: tuple[Score, ...]
    items: tuple[ItemScore, ...] = ()
    rate: float | None = None
    steps: int = 0
    parameters: int = 0
    macs_per_second: float | None = None
    chance: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    audio: Mapping[str, Any] = field(default_factory=dict)
