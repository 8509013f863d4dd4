"""What tasks with a right answer a clip have in common: scoring of answers, and the rows that come of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from ..contract import Clip, Dataset, Example, ItemScore, Outcome, Score, Split
from ..probes.macs import macs_per_second
from ..probes.options import ProbeOptions
from ..training import Fitted
from .chance import Interval
from .task import Assignment, Task, answers

Answers = Mapping[str, Any]
"""{clip id: what was said of it}: a class, a text, or an embedding."""

Trained = tuple[Fitted, Callable[[Sequence[Example]], Sequence[Any]], dict[str, str]]
"""The trained probe, a function from examples to answers, and notes for the row."""


class Discriminative(Task):
    """A task whose answers are compared with labels. Probes and language models share all of its scoring."""

    def _run(self, given: Assignment) -> Outcome:
        dataset, split = given.dataset, given.split
        fitted, predict, notes = self._fit(given, ProbeOptions.read(given.context.options))
        found: dict[str, Answers] = {}
        failures: dict[str, str] = {}
        for test, clips in dataset.tests.items():
            found[test], lost = answers(predict, clips, split.tests.get(test, ()))
            failures |= lost
        return replace(
            self.outcome(dataset, split, found, failures),
            rate=fitted.rate,
            steps=fitted.steps,
            parameters=fitted.parameters,
            macs_per_second=macs_per_second(fitted.model, given.info),
            notes=notes,
        )

    def check(self, options: Mapping[str, Any]) -> None:
        """See :meth:`Task.check`."""
        ProbeOptions.read(options)

    def outcome(
        self, dataset: Dataset, split: Split, found: Mapping[str, Answers], failures: Mapping[str, str]
    ) -> Outcome:
        """Scores of all test sets, from answers of any model.

        Args:
            dataset: whose test clips are scored.
            split: as trained on; its training labels say what chance is.
            found: {test set: {clip id: answer}}; clips without an answer are failures.
            failures: {clip id: reason} of clips without an answer.
        """
        train = [example.clip for example in split.train]
        scores: list[Score] = []
        items: list[ItemScore] = []
        reasons = dict(failures)
        chance: dict[str, Interval] = {}
        for test, clips in dataset.tests.items():
            part, rows, lost = self.score(dataset, test, found.get(test, {}), train)
            scores += part
            items += rows
            reasons |= {clip: reason for clip, reason in lost.items() if clip not in reasons}
            for metric, (low, high) in self.chance(dataset, test, train).items() if clips else ():
                old = chance.get(metric, (low, high))
                chance[metric] = (min(low, old[0]), max(high, old[1]))
        return Outcome(tuple(scores), tuple(items), chance=chance, failures=reasons)

    @abstractmethod
    def score(
        self, dataset: Dataset, test: str, said: Answers, train: Sequence[Clip]
    ) -> tuple[list[Score], list[ItemScore], dict[str, str]]:
        """Scores of one test set, its clips' parts in them, and why some clips have none."""

    @abstractmethod
    def chance(self, dataset: Dataset, test: str, train: Sequence[Clip]) -> dict[str, Interval]:
        """{metric: interval} of guesses on one test set."""

    @abstractmethod
    def _fit(self, given: Assignment, options: ProbeOptions) -> Trained:
        """Train the probe."""


def code_vectors(given: Assignment, options: ProbeOptions) -> tuple[list[Tensor] | None, str]:
    """Code vectors that embeddings start from, and the words for the row: what was asked for is not always there."""
    opened = given.context.input
    if options.start == "random" or given.info.kind != "discrete":
        return None, "random"
    vectors = opened.vectors() if opened is not None else None
    return vectors, "code vectors" if vectors is not None else "random (this tokenizer has no code vectors)"


def labelled(examples: Sequence[Example], labels: Mapping[str, int]) -> list[Example]:
    """Examples whose label is one of those."""
    return [example for example in examples if example.clip.label in labels]
