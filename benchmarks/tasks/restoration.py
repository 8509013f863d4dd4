"""What enhancement and separation share: clean speech out of a mixture, through an input and its decoder.

Beside the scores stand a floor and a ceiling, in the notes: the mixture through the input without any probe
(``floor.METRIC``), and the clean target through it (``ceiling.METRIC``), which no probe can be expected to exceed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from codectok.metrics import get_metric
from codectok.metrics.level import HEADLINE
from codectok.settings.build import build_from

from ..contract import RATE, Clip, Dataset, Example, Outcome, Split
from ..datasets import read_clip, read_targets
from ..inputs import Input
from .scoring import JUDGED, Triple, score_clips
from .sound import Gathered, GenerativeOptions, model_loss
from .task import Assignment, Task, TaskContext, TaskError, answers

Streams = tuple[np.ndarray, ...]
"""Audio of each target, float32 [S] at ``RATE``."""
_BOUNDS: dict[tuple[str, ...], dict[str, str]] = {}
"""Floors and ceilings by what decides them: seeds and probes have them in common."""


@dataclass(frozen=True)
class RestorationOptions(GenerativeOptions):
    """Options of enhancement and separation."""

    bounds: bool = True
    """Score floor and ceiling too."""
    skip: bool = True
    """Give the probe a skip connection, which DASB does not."""


class Restoration(Task):
    """Enhancement has one target, separation two; ``options`` are :class:`RestorationOptions`."""

    probes = ("conformer", "crdnn")
    metrics = ("dnsmos", "pesq", "stoi", *HEADLINE, "si_sdr", "dwer", "dcer", "spk_sim")
    needs = "frames"
    generative = True
    shuffled_floor = False
    targets = 1

    def _run(self, given: Assignment) -> Outcome:
        from ..probes.generative import Restorer, moments_of

        dataset, info, split, context = given.dataset, given.info, given.split, given.context
        opened = context.input
        assert opened is not None
        options = build_from(RestorationOptions, context.options, "options")
        names = options.sound.metrics or self.metrics
        self._check(opened, split)
        train = [e for e in split.train if len(e.y) == self.targets]
        moments = None if info.kind == "discrete" else moments_of(y for e in train for y in e.y)
        vectors = opened.vectors() if options.probe.start == "vectors" else None

        fitted = given.fit(
            lambda: Restorer(given.probe, info, self.targets, options.probe, vectors, moments, options.skip),
            model_loss,
            train,
            [e for e in split.valid if len(e.y) == self.targets],
            lambda model, examples: -float(model_loss(model, examples)),
        )
        model: Any = fitted.model

        def predict(examples: Sequence[Example]) -> list[Streams]:
            lengths = [e.num_samples for e in examples]
            streams = zip(*model.restore(examples), strict=True)
            return list(zip(*(opened.to_audio(s, lengths) for s in streams), strict=True))

        gathered = Gathered(options.sound.audio_clips)
        for test, clips in dataset.tests.items():
            found, missing = answers(predict, clips, split.tests[test], batch=8)
            triples = self._triples(clips, found, missing)
            scored = score_clips(names, triples, self._ids(clips), context, test=test, missing=self._all(missing))
            gathered.add(scored, triples)
            if options.bounds:
                gathered.notes |= self._bounds(dataset, test, opened, names, context)
        return gathered.outcome(fitted)

    def check(self, options: Mapping[str, Any]) -> None:
        """See :meth:`Task.check`."""
        build_from(RestorationOptions, options, "options")

    def _check(self, opened: Input, split: Split) -> None:
        """That there is a way back, before anything is trained.

        Raises:
            NotComputed: the input cannot be turned into audio.
            TaskError: clips without targets.
        """
        trained = [e for e in split.train if len(e.y) == self.targets]
        if not trained:
            raise TaskError(f"{self.name} needs training clips with {self.targets} target(s)")
        opened.to_audio([trained[0].x], [trained[0].num_samples])

    def _ids(self, clips: Sequence[Clip]) -> dict[str, Clip]:
        """Of each stream of each clip: the clip's id; of two targets "id/1" and "id/2"."""
        return {i: clip for clip in clips for i in self._streams(clip.id)}

    def _streams(self, clip: str) -> list[str]:
        return [clip] if self.targets == 1 else [f"{clip}/{j + 1}" for j in range(self.targets)]

    def _all(self, missing: Mapping[str, str]) -> dict[str, str]:
        return {i: reason for clip, reason in missing.items() for i in self._streams(clip)}

    def _triples(self, clips: Sequence[Clip], found: Mapping[str, Streams], missing: dict[str, str]) -> list[Triple]:
        triples: list[Triple] = []
        for clip in clips:
            if clip.id not in found:
                continue
            try:
                targets = read_targets(clip)
                streams = best_order(targets, found[clip.id])
            except Exception as error:
                missing[clip.id] = f"{type(error).__name__}: {error}"
                continue
            triples += zip(self._streams(clip.id), targets, streams, strict=True)
        return triples

    def _bounds(
        self, dataset: Dataset, test: str, opened: Input, names: Sequence[str], context: TaskContext
    ) -> dict[str, str]:
        """Floor and ceiling of every metric that needs no judge, as words for the row."""
        names = [name for name in names if name not in JUDGED]
        encoder = str(context.options.get("speaker_encoder", ""))
        key = (dataset.sha256, test, opened.info.fingerprint, opened.info.spec, encoder, *names)
        if key not in _BOUNDS:
            _BOUNDS[key] = {}
            for bound, of in (("floor", _mixture), ("ceiling", read_targets)):
                triples = self._passed(dataset.tests[test], opened, of)
                scored = score_clips(names, triples, {}, context, test=test)
                suffix = "" if test == "test" else f"@{test}"
                values = {s.metric: s.value for s in scored.scores if s.value is not None}
                _BOUNDS[key] |= {f"{bound}.{name}{suffix}": f"{value:.4f}" for name, value in values.items()}
        return _BOUNDS[key]

    def _passed(self, clips: Sequence[Clip], opened: Input, of: Any) -> list[Triple]:
        triples: list[Triple] = []
        for clip in clips:
            try:
                targets = read_targets(clip)
                given = (tuple(of(clip)) * self.targets)[: self.targets]
                decoded = opened.resynthesise(given)[0]
            except Exception:
                continue  # counted already, among the scores
            triples += zip(self._streams(clip.id), targets, decoded, strict=True)
        return triples


def _mixture(clip: Clip) -> Streams:
    return (read_clip(clip),)


def best_order(targets: Streams, streams: Streams) -> Streams:
    """The streams in the order of the targets that they are nearest to, by the sum of mel distances.

    Mel distances, not SI-SDR: many codecs keep no waveform that could be matched.
    """
    if len(targets) != len(streams):
        raise TaskError(f"{len(streams)} streams for {len(targets)} targets")
    if len(targets) == 1:
        return streams
    distance = get_metric("mel")
    table = [[distance(t, s, RATE) for s in streams] for t in targets]
    orders = permutations(range(len(streams)))
    best = min(orders, key=lambda order: sum(table[j][i] for j, i in enumerate(order)))
    return tuple(streams[i] for i in best)
