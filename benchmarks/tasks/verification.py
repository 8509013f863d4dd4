"""Are these two clips of one speaker? A probe learns to tell speakers apart; then only its embeddings are compared."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from codectok.metrics.classification import P_TARGET, eer, mindcf

from ..contract import Clip, Dataset, Example, ItemScore, Score, Trial
from ..probes import ProbeOptions
from ..probes.frontend import collate
from ..probes.heads import ClipProbe
from .chance import Interval, hull
from .classification import clip_loss
from .discriminative import Answers, Discriminative, Trained, code_vectors
from .task import Assignment, TaskError

MARGIN = 0.2
"""Radians, as ECAPA-TDNN has it."""
MAX_PAIRS = 20000
"""Of validation clips; more are thinned out evenly."""
DRAWS = 100
"""Of embeddings and of scores that hear nothing."""


class Verification(Discriminative):
    """Trained as classification of the training speakers with additive angular margin; scored by cosine over trials.

    A trial one of whose clips has no embedding is a failure. ``n`` and failures count trials. Trials share clips, so
    there are no scores of single clips here, and paired tests go over seeds.
    """

    metrics = ("eer", "mindcf")
    needs = "vectors"
    shuffled_floor = False

    def __init__(self, name: str, label: str, *probes: str) -> None:
        self.name, self.label, self.probes = name, label, probes

    def _fit(self, given: Assignment, options: ProbeOptions) -> Trained:
        info, split, device = given.info, given.split, given.context.device
        speakers = sorted({example.clip.label for example in split.train})
        if len(speakers) < 2:
            raise TaskError(f"{self.name} on {given.dataset.name}: {len(speakers)} training speaker(s): two are needed")
        index = {name: i for i, name in enumerate(speakers)}
        vectors, start = code_vectors(given, options)
        # Pairs of one speaker only, or of two speakers only, have no equal error rate.
        names = [example.clip.label for example in split.valid]
        usable = 1 < len(set(names)) < len(names)
        fitted = given.fit(
            lambda: ClipProbe(given.probe, info, len(speakers), options, vectors, MARGIN),
            clip_loss(index, info, options, device),
            split.train,
            split.valid if usable else (),
            lambda model, examples: -pair_eer(model, examples, device),
        )
        notes = {"embeddings": start, "minDCF": f"P(target) {P_TARGET:g}"}
        return fitted, lambda examples: list(embeddings(fitted.model, examples, device)), notes

    def score(
        self, dataset: Dataset, test: str, said: Answers, train: Sequence[Clip]
    ) -> tuple[list[Score], list[ItemScore], dict[str, str]]:
        """EER and minDCF of the trials both of whose clips have an embedding."""
        trials = dataset.trials.get(test, ())
        scored = [t for t in trials if t.enrol in said and t.test in said]
        values = [cosine(said[t.enrol], said[t.test]) for t in scored]
        failures = len(trials) - len(scored)
        same = [t.same for t in scored]
        both = any(same) and not all(same)
        return (
            [
                Score(name, test, figure(values, same) if both else None, len(scored) if both else 0, failures)
                for name, figure in (("eer", eer), ("mindcf", mindcf))
            ],
            [],
            {},
        )

    def chance(self, dataset: Dataset, test: str, train: Sequence[Clip]) -> dict[str, Interval]:
        """Of embeddings drawn at random for each clip, and of scores drawn for each trial."""
        trials: Sequence[Trial] = dataset.trials.get(test, ())
        same = [t.same for t in trials]
        if not any(same) or all(same):
            return {}
        rng = np.random.default_rng(0)
        clips = sorted({c for t in trials for c in (t.enrol, t.test)})
        place = {clip: i for i, clip in enumerate(clips)}
        enrol, test_clips = np.array([(place[t.enrol], place[t.test]) for t in trials]).T
        drawn: list[Sequence[float]] = []
        for _ in range(DRAWS):
            # Few directions: clips that hear nothing of the speaker still fall in clusters, which trials share.
            points = rng.normal(size=(len(clips), 4))
            points /= np.linalg.norm(points, axis=1, keepdims=True)
            drawn += [list((points[enrol] * points[test_clips]).sum(1)), list(rng.normal(size=len(trials)))]
        return {
            name: hull([[figure(values, same) for values in drawn]])
            for name, figure in (("eer", eer), ("mindcf", mindcf))
        }


def embeddings(model: nn.Module, examples: Sequence[Example], device: str, batch: int = 32) -> np.ndarray:
    """Embeddings of examples in their order, float32 [N, E], each of length 1."""
    assert isinstance(model, ClipProbe)
    with torch.no_grad():
        parts = [
            F.normalize(model.embed(*collate(examples[i : i + batch], device))).cpu()
            for i in range(0, len(examples), batch)
        ]
    return torch.cat(parts).numpy()


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of two vectors; 0 where one has no length."""
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))


def pair_eer(model: nn.Module, examples: Sequence[Example], device: str) -> float:
    """Equal error rate of all pairs of validation clips, in %."""
    points = embeddings(model, examples, device)
    if not np.isfinite(points).all():
        return float("nan")
    pairs = list(combinations(range(len(examples)), 2))
    pairs = pairs[:: -(-len(pairs) // MAX_PAIRS)]
    same = [examples[i].clip.label == examples[j].clip.label for i, j in pairs]
    first, second = np.array(pairs).T
    return eer(list((points[first] * points[second]).sum(1)), same)


SV = Verification("sv", "speaker verification", "ecapa", "xvector", "linear")
"""Whether two clips are of one speaker, also of speakers never trained on."""
