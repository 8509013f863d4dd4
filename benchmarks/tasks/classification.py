"""One class a clip: emotion, intent, keyword, speaker, language."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codectok.metrics.classification import accuracy, f1

from ..contract import Clip, Dataset, Example, InputInfo, ItemScore, Score
from ..probes import ProbeOptions
from ..probes.crop import crop
from ..probes.frontend import collate
from ..probes.heads import ClipProbe
from .chance import Interval, class_chance
from .discriminative import Answers, Discriminative, Trained, code_vectors, labelled
from .task import Assignment, TaskError


class Classification(Discriminative):
    """A clip-level classifier; its classes are the labels of the training clips.

    A test clip of another label cannot be told rightly by any probe: it is a failure, not a wrong answer.
    """

    metrics = ("accuracy", "f1")
    needs = "vectors"

    def __init__(self, name: str, label: str, *probes: str) -> None:
        self.name, self.label, self.probes = name, label, probes

    def _fit(self, given: Assignment, options: ProbeOptions) -> Trained:
        info, split, device = given.info, given.split, given.context.device
        classes = sorted({example.clip.label for example in split.train})
        if len(classes) < 2:
            raise TaskError(
                f"{self.name} on {given.dataset.name}: the training clips have {len(classes)} class(es), not two"
            )
        index = {name: i for i, name in enumerate(classes)}
        vectors, start = code_vectors(given, options)
        fitted = given.fit(
            lambda: ClipProbe(given.probe, info, len(classes), options, vectors),
            clip_loss(index, info, options, device),
            split.train,
            labelled(split.valid, index),
            lambda model, examples: right_share(model, examples, index, device),
        )

        def predict(examples: Sequence[Example]) -> list[str]:
            return [classes[i] for i in logits(fitted.model, examples, device).argmax(1).tolist()]

        return fitted, predict, {"embeddings": start}

    def score(
        self, dataset: Dataset, test: str, said: Answers, train: Sequence[Clip]
    ) -> tuple[list[Score], list[ItemScore], dict[str, str]]:
        """Accuracy and macro F1 of the clips that have an answer and a label that could be learned."""
        known = {clip.label for clip in train}
        clips = dataset.tests[test]
        lost = {c.id: f"no training clip has its label {c.label!r}" for c in clips if c.label not in known}
        scored = [c for c in clips if c.id in said and c.id not in lost]
        truth, guess = [c.label for c in scored], [str(said[c.id]) for c in scored]
        failures = len(clips) - len(scored)
        figures = {"accuracy": accuracy, "f1": f1}
        scores = [
            Score(name, test, figure(truth, guess) if scored else None, len(scored), failures)
            for name, figure in figures.items()
        ]
        rows = [ItemScore(test, "accuracy", c.id, float(c.label == g)) for c, g in zip(scored, guess, strict=True)]
        return scores, rows, lost

    def chance(self, dataset: Dataset, test: str, train: Sequence[Clip]) -> dict[str, Interval]:
        """See :mod:`benchmarks.tasks.chance`."""
        known = {clip.label for clip in train}
        clips = [clip for clip in dataset.tests[test] if clip.label in known]
        if not clips:
            return {}
        # Macro F1 goes over the pairs once a class: fewer draws.
        return {"accuracy": class_chance(train, clips, accuracy), "f1": class_chance(train, clips, f1, 100)}


def clip_loss(
    index: dict[str, int], info: InputInfo, options: ProbeOptions, device: str
) -> Callable[[nn.Module, list[Example], torch.Generator], Tensor]:
    """Loss of a :class:`ClipProbe` on the examples' labels."""

    def loss(model: nn.Module, examples: list[Example], generator: torch.Generator) -> Tensor:
        assert isinstance(model, ClipProbe)
        x, lengths = collate([crop(e, info, options.crop_seconds, generator) for e in examples], device)
        return model.loss(x, lengths, torch.tensor([index[e.clip.label] for e in examples], device=device))

    return loss


def logits(model: nn.Module, examples: Sequence[Example], device: str, batch: int = 32) -> Tensor:
    """Logits of examples in their order, on the CPU."""
    with torch.no_grad():
        parts = [model(*collate(examples[i : i + batch], device)).cpu() for i in range(0, len(examples), batch)]
    return torch.cat(parts)


def right_share(model: nn.Module, examples: Sequence[Example], index: dict[str, int], device: str) -> float:
    """Accuracy on validation clips; of equal ones, the state of lower cross-entropy is the better by a hair."""
    found = logits(model, examples, device)
    truth = torch.tensor([index[e.clip.label] for e in examples])
    entropy = F.cross_entropy(found, truth).item()
    if not math.isfinite(entropy):
        return math.nan
    return (found.argmax(1) == truth).double().mean().item() - 1e-4 * min(entropy, 10.0)


ER = Classification("er", "emotion", "ecapa", "linear")
"""Which emotion a clip is of."""
IC = Classification("ic", "intent", "bilstm", "linear")
"""What a command is meant to do."""
KS = Classification("ks", "keyword", "xvector", "ecapa", "linear")
"""Which keyword a clip holds."""
SI = Classification("si", "speaker", "ecapa", "xvector", "linear")
"""Which of the speakers of the training clips speaks."""
LID = Classification("lid", "language", "ecapa", "xvector", "linear", "bilstm")
"""Which language is spoken."""
