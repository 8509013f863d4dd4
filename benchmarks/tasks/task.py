"""What every task is, and what it is given beside the examples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from torch import nn

from codectok import registry
from codectok.errors import CodectokError

from ..batches import num_frames
from ..contract import Budget, Clip, Dataset, Example, InputInfo, Outcome, Split
from ..training import Fitted, Loss, ModelScore, fit

if TYPE_CHECKING:
    from ..inputs import Input

T = TypeVar("T")


class TaskError(CodectokError):
    """A task that cannot be run as asked: a probe it does not know, one class only, an unknown option."""


@dataclass(frozen=True)
class TaskContext:
    """What a task may use beside its examples.

    Attributes:
        input: that the examples were made by; resynthesis and generative tasks decode with it. None in tests of
            discriminative tasks.
        judge: folder or id of a Whisper for dWER, "" for none.
        device: where probes are trained.
        progress: called with (updates made, updates in all).
        options: of the suite for this task; see ``benchmarks/probes/options.py`` for those of discriminative tasks.
    """

    input: Input | None = None
    judge: str = ""
    device: str = "cpu"
    progress: Callable[[int, int], None] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Assignment:
    """One cell as its task is given it.

    Attributes:
        dataset: its test sets say which clips must be scored; those without an example are failures.
        info: of the input.
        split: examples; labels are read from their clips.
        probe: one of the task's, or "llm:..." for a language model; "" is the task's default.
        budget: of the training.
        seed: of the training.
        context: see :class:`TaskContext`.
    """

    dataset: Dataset
    info: InputInfo
    split: Split
    probe: str
    budget: Budget
    seed: int
    context: TaskContext

    def fit(
        self,
        build: Callable[[], nn.Module],
        loss: Loss,
        train: Sequence[Example],
        valid: Sequence[Example],
        score: ModelScore,
    ) -> Fitted:
        """:func:`benchmarks.training.fit` with this budget and seed, on this device."""
        context = self.context
        return fit(
            build, loss, train, valid, self.budget, self.seed, score, device=context.device, progress=context.progress
        )


class Task(ABC):
    """A question that is put to every input alike.

    Attributes:
        name: as suites write it.
        label: as tables head it.
        metrics: names in the registry; the first is the headline.
        probes: names; the first is the default.
        generative: whether it makes audio.
        trained: whether it trains a probe.
        shuffled_floor: whether a probe trained on permuted labels must score at chance. Not so in verification: even
            an untrained network tells voices apart.
    """

    name: str
    label: str
    metrics: tuple[str, ...]
    probes: tuple[str, ...]
    needs: str = ""
    """Which other packages' probes it takes beside its own: those that give "frames", or also "vectors"; "": none."""
    generative: bool = False
    trained: bool = True
    shuffled_floor: bool = True

    def run(self, given: Assignment) -> Outcome:
        """Train the probe (where there is one) and score every test set.

        Raises:
            TaskError: no such probe, or data that the task cannot be trained on.
            TrainingError: the training gives no model.
            NotComputed: something that is not installed here.
        """
        probe = given.probe or (self.probes[0] if self.probes else "")
        if probe and not self.takes(probe):
            raise TaskError(f"{self.name} has no probe {probe!r}: take one of {', '.join(self.probes)}")
        return self._run(replace(given, probe=probe))

    def takes(self, probe: str) -> bool:
        """Whether it can be asked by a probe: one of its own, or of another package if it gives what the task needs."""
        if probe in self.probes or not self.needs or not registry.known("probes", probe):
            return probe in self.probes
        foreign = registry.entry_of("probes", probe).package != registry.OWN
        return foreign and (self.needs == "vectors" or registry.find("probes", probe).frames)

    def check(self, options: Mapping[str, Any]) -> None:
        """That a suite's options for this task can be used, before anything is run.

        Raises:
            CodectokError: one that cannot.
        """
        del options

    @abstractmethod
    def _run(self, given: Assignment) -> Outcome:
        """As :meth:`run`, with a probe of ``probes``."""


def answers(
    predict: Callable[[Sequence[Example]], Sequence[T]],
    clips: Sequence[Clip],
    examples: Sequence[Example],
    batch: int = 32,
) -> tuple[dict[str, T], dict[str, str]]:
    """What a model says of each clip, and why it says nothing of the others.

    A batch that fails is tried again clip by clip, so that one bad clip costs one answer.

    Args:
        predict: one answer an example.
        clips: of the test set; one without an example is a failure.
        examples: of the test set, in any order.
        batch: examples predicted together (of similar length).

    Returns:
        {clip id: answer} and {clip id: reason}; together every clip once.
    """
    ids = {clip.id for clip in clips}
    known = sorted((e for e in examples if e.clip.id in ids), key=num_frames)
    found: dict[str, T] = {}
    failed = {clip.id: "the input gave nothing for this clip" for clip in clips}
    usable = [example for example in known if num_frames(example)]
    failed |= {e.clip.id: "shorter than one frame of the input" for e in known if not num_frames(e)}
    for start in range(0, len(usable), batch):
        part = usable[start : start + batch]
        try:
            said = list(predict(part))
        except Exception:
            said = []
        if len(said) == len(part):
            found |= {example.clip.id: answer for example, answer in zip(part, said, strict=True)}
            continue
        for example in part:
            try:
                found[example.clip.id] = next(iter(predict([example])))
            except Exception as error:
                failed[example.clip.id] = f"{type(error).__name__}: {error}".strip()
    return found, {key: reason for key, reason in failed.items() if key not in found}
