"""Trains a language model on the labels of one arm, and lets it answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..batches import num_frames
from ..contract import RATE, Example, NotComputed, Outcome
from ..tasks.classification import Classification
from ..tasks.discriminative import Answers, labelled
from ..tasks.recognition import Recognition
from ..tasks.task import Assignment, Task, TaskError, answers
from ..tasks.translation import Translation
from ..training import Fitted
from .arms import read_arm, swap_audio
from .build import ArmParts, open_parts
from .model import SpeechReader
from .options import LLMOptions
from .text_model import TextModel, open_text_model


def run(task: Task, given: Assignment) -> Outcome:
    """Train and score one arm of a task, as :meth:`benchmarks.tasks.task.Task.run` does; the probe is "llm:ARM".

    Classes are chosen: the name of the highest log-likelihood among those of the training clips. Texts are written,
    always the likeliest token. Learning rate and state are settled on the validation clips, by accuracy of classes and
    by the cross-entropy of texts. Scores are the task's own.

    Raises:
        TaskError: no such arm.
        NotComputed: a task or an input that the arm is not for, or a language model that is not here.
        TrainingError: the training gives no model.
        CodectokError: options that cannot be used.
    """
    dataset, info, split, seed = given.dataset, given.info, given.split, given.seed
    arm, options = read_arm(given.probe, info), LLMOptions.read(given.context.options)
    if not isinstance(task, (Classification, Recognition, Translation)):
        raise NotComputed(f"the LLM probe says a class or a text: it is not for {task.name}")
    texts = {e.clip.id: spoken(task, e.clip.label) for e in (*split.train, *split.valid)}
    classes = sorted({e.clip.label for e in split.train}) if isinstance(task, Classification) else []
    if isinstance(task, Classification) and len(classes) < 2:
        raise TaskError(f"{task.name} on {dataset.name}: the training clips have {len(classes)} class(es), not two")
    train = [e for e in split.train if num_frames(e)]
    if not any(texts[e.clip.id] for e in train):
        raise TaskError(f"{task.name} on {dataset.name}: no training clip has audio and a label")
    base = open_text_model(options, [f" {texts[e.clip.id]}" for e in train], seed)
    tokenizer = given.context.input.tokenizer if given.context.input is not None else None
    cue = options.cue or f"\n{task.label}:"
    parts = open_parts(arm, info, options, base, cue, train, seed, tokenizer)
    answer = _Answers(task, parts, base, options, classes)
    fitted, left_out = answer.fit(train, texts, given)
    found: dict[str, Answers] = {}
    failures: dict[str, str] = {}
    for test, clips in dataset.tests.items():
        examples: Sequence[Example] = split.tests.get(test, ())
        if arm.other:
            examples = swap_audio(examples, seed)
        found[test], lost = answers(lambda part: answer(fitted.model, part), clips, examples, given.budget.batch)
        failures |= lost
    assert isinstance(fitted.model, SpeechReader)
    notes = {"llm": base.note, "tune": options.tune, "cue": cue.strip(), "answers": answer.words, **parts.notes}
    if arm.hears:
        notes["audio tokens"] = f"{_tokens_a_second(fitted.model, parts, train):.3g} a second"
    if arm.other:
        notes["audio"] = "trained on its own, tested with another clip's"
    if left_out:
        notes["too long"] = f"{left_out} of {len(train)} training clips are longer than the language model takes"
    return replace(
        task.outcome(dataset, split, found, failures),
        rate=fitted.rate,
        steps=fitted.steps,
        parameters=fitted.parameters,
        notes=notes | options.place(task.name, dataset.name, arm.name, info),
    )


def spoken(task: Task, label: str) -> str:
    """A label as the model is to say it: transcripts as they are scored, all else as it is."""
    return task.text(task.symbols(label)) if isinstance(task, Recognition) else label.strip()


@dataclass
class _Answers:
    """What a trained model says of examples: a class, or a text."""

    task: Task
    parts: ArmParts
    base: TextModel
    options: LLMOptions
    classes: Sequence[str]
    limit: int = 0

    @property
    def words(self) -> str:
        """For the row."""
        if self.classes:
            how = "mean over the tokens of its name and end" if self.options.choice == "mean" else "sum over its tokens"
            return f"the likeliest of {len(self.classes)} names ({how})"
        return f"written greedily, {self.limit} tokens at most"

    def target(self, text: str) -> Tensor:
        """Ids of a label with its end, int64 [N]."""
        return torch.cat([self.parts.encode(text), torch.tensor([self.base.tokenizer.eos_token_id])])

    def fit(self, train: Sequence[Example], texts: dict[str, str], given: Assignment) -> tuple[Fitted, int]:
        """The trained model, and how many training clips are too long for it."""
        valid, batch = list(given.split.valid), given.budget.batch
        if self.classes:
            valid = labelled(valid, dict.fromkeys(self.classes, 0))
        valid = [e for e in valid if num_frames(e)]
        heard = {e.clip.id: self.parts.hear(e) for e in (*train, *valid)}
        targets = {e.clip.id: self.target(texts[e.clip.id]) for e in (*train, *valid)}
        self.limit = 2 * max(len(targets[e.clip.id]) for e in train)
        room = self._room(heard, targets)
        fitting = [e for e in train if room(e)]

        def loss(model: nn.Module, part: Sequence[Example], generator: Any = None) -> Tensor:
            assert isinstance(model, SpeechReader)
            return model.loss([heard[e.clip.id] for e in part], [targets[e.clip.id] for e in part])

        def goodness(model: nn.Module, examples: Sequence[Example]) -> float:
            cuts = [examples[i : i + batch] for i in range(0, len(examples), batch)]
            mean = sum(loss(model, cut).item() * len(cut) for cut in cuts) / len(examples)
            if not self.classes or not math.isfinite(mean):
                return -mean
            said = [name for cut in cuts for name in self(model, cut)]
            right = sum(name == e.clip.label for name, e in zip(said, examples, strict=True))
            # Of equal accuracies, the state of lower cross-entropy is the better by a hair.
            return right / len(examples) - 1e-4 * min(mean, 10.0)

        fitted = given.fit(self.parts.build, loss, fitting, [e for e in valid if room(e)], goodness)
        return fitted, len(train) - len(fitting)

    def _room(self, heard: dict[str, Tensor], targets: dict[str, Tensor]) -> Callable[[Example], bool]:
        """Whether a clip and its label fit into the language model."""
        with torch.random.fork_rng(devices=[]):
            model = self.parts.build()
        assert isinstance(model, SpeechReader)
        around = len(model.head) + len(model.cue)

        def fits(example: Example) -> bool:
            audio = model.lengths([heard[example.clip.id]])[0]
            return around + audio + len(targets[example.clip.id]) <= model.positions

        return fits

    def __call__(self, model: nn.Module, examples: Sequence[Example]) -> list[str]:
        """One answer an example."""
        assert isinstance(model, SpeechReader)
        heard = [self.parts.hear(example) for example in examples]
        if not self.classes:
            rows = model.write(heard, self.limit)
            return [self.base.tokenizer.decode(row, skip_special_tokens=True).strip() for row in rows]
        names = [self.target(name.strip()) for name in self.classes]
        found = model.likelihoods(heard, names)
        if self.options.choice == "mean":
            found = found / torch.tensor([len(name) for name in names], device=found.device)
        return [self.classes[i] for i in found.argmax(1).tolist()]


def _tokens_a_second(model: SpeechReader, parts: ArmParts, train: Sequence[Example]) -> float:
    timed = [example for example in train if example.num_samples]
    with torch.no_grad():
        tokens = sum(model.lengths([parts.hear(example)])[0] for example in timed)
    return tokens / max(1e-9, sum(example.num_samples for example in timed) / RATE)
