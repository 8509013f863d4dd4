"""What is said: characters or phones, by CTC."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from codectok.metrics.intelligibility import Edits, character_edits, normalise, word_edits
from codectok.metrics.text import phone_edits, rate

from ..batches import num_frames
from ..contract import Clip, Dataset, Example, ItemScore, Score
from ..probes import ProbeOptions
from ..probes.ctc import beam_search, frames_needed, greedy
from ..probes.frontend import collate
from ..probes.heads import FrameProbe
from .chance import Interval, text_chance
from .discriminative import Answers, Discriminative, Trained, code_vectors
from .task import Assignment, TaskError

EDITS: dict[str, Callable[[str, str], Edits]] = {"wer": word_edits, "cer": character_edits, "per": phone_edits}


class Recognition(Discriminative):
    """A CTC recogniser without a language model; its labels are those of the training texts.

    A test text's other characters stay in the reference and are errors. An empty text adds nothing to the length, and
    all that is written for it are insertions. A training clip with fewer frames than CTC needs teaches nothing; a test
    clip with too few is answered as far as it goes.
    """

    probes = ("bilstm", "contextnet", "linear", "dnn", "conformer", "crdnn")
    needs = "frames"

    def __init__(self, name: str, label: str, *metrics: str) -> None:
        self.name, self.label, self.metrics = name, label, metrics

    def symbols(self, text: str) -> list[str]:
        """A text as the labels that are learned: phones as written, or the characters of the normalised text."""
        return text.split() if self.metrics == ("per",) else list(normalise(text))

    def text(self, symbols: Sequence[str]) -> str:
        """The text of labels."""
        return (" " if self.metrics == ("per",) else "").join(symbols)

    def _fit(self, given: Assignment, options: ProbeOptions) -> Trained:
        split, batch, device = given.split, given.budget.batch, given.context.device
        alphabet = sorted({s for example in split.train for s in self.symbols(example.clip.label)})
        if not alphabet:
            raise TaskError(f"{self.name} on {given.dataset.name}: every training text is empty")
        index = {symbol: i + 1 for i, symbol in enumerate(alphabet)}
        vectors, start = code_vectors(given, options)
        targets = {e.clip.id: self._target(e, index) for e in (*split.train, *split.valid)}

        def loss(model: nn.Module, examples: Sequence[Example], generator: torch.Generator | None = None) -> Tensor:
            assert isinstance(model, FrameProbe)
            return model.loss(*collate(examples, device), [targets[e.clip.id] for e in examples])

        def write(model: nn.Module, examples: Sequence[Example], beam: int) -> list[str]:
            with torch.no_grad():
                logs, frames = model(*collate(examples, device))
            rows = [row[:n].cpu().numpy() for row, n in zip(logs, frames.tolist(), strict=True)]
            found = [greedy(row) if beam == 1 else beam_search(row, beam) for row in rows]
            return [self.text([alphabet[i - 1] for i in labels]) for labels in found]

        def goodness(model: nn.Module, examples: Sequence[Example]) -> float:
            parts = [examples[i : i + batch] for i in range(0, len(examples), batch)]
            mean = sum(loss(model, part).item() * len(part) for part in parts) / len(examples)
            wrong = sum((self._edits(e, t) for p in parts for e, t in zip(p, write(model, p, 1), strict=True)), Edits())
            # Of equal error rates (at first, nothing but blanks), the lower loss is the better by a hair.
            return -rate([wrong]) - 1e-3 * mean if math.isfinite(mean) else math.nan

        valid = sorted((e for e in split.valid if self.symbols(e.clip.label)), key=num_frames)
        fitted = given.fit(
            lambda: FrameProbe(given.probe, given.info, len(alphabet) + 1, options, vectors),
            loss,
            split.train,
            valid,
            goodness,
        )
        assert isinstance(fitted.model, FrameProbe)
        notes = {"embeddings": start, "decoding": "greedy" if options.beam == 1 else f"beam {options.beam}"}
        room = fitted.model.per_frame
        short = sum(num_frames(e) * room < frames_needed(targets[e.clip.id].tolist()) for e in split.train)
        if room > 1:
            notes["labels a frame"] = str(room)
        if short:
            notes["too short"] = f"{short} of {len(split.train)} training clips have fewer frames than CTC needs"
        return fitted, lambda examples: write(fitted.model, examples, options.beam), notes

    def _target(self, example: Example, index: dict[str, int]) -> Tensor:
        known = [index[s] for s in self.symbols(example.clip.label) if s in index]
        return torch.tensor(known, dtype=torch.int64)

    def _edits(self, example: Example, text: str) -> Edits:
        return (phone_edits if self.metrics == ("per",) else character_edits)(example.clip.label, text)

    def score(
        self, dataset: Dataset, test: str, said: Answers, train: Sequence[Clip]
    ) -> tuple[list[Score], list[ItemScore], dict[str, str]]:
        """Error rates over the clips that have an answer; None where all their texts are empty."""
        clips = dataset.tests[test]
        scored = [c for c in clips if c.id in said]
        scores, rows = [], []
        for name in self.metrics:
            edits = [EDITS[name](c.label, str(said[c.id])) for c in scored]
            value = rate(edits) if any(e.length for e in edits) else None
            scores.append(Score(name, test, value, len(scored), len(clips) - len(scored)))
            rows += [ItemScore(test, name, c.id, e.total, e.length) for c, e in zip(scored, edits, strict=True)]
        return scores, rows, {}

    def chance(self, dataset: Dataset, test: str, train: Sequence[Clip]) -> dict[str, Interval]:
        """See :func:`benchmarks.tasks.chance.text_chance`; of at most 300 clips."""
        clips = [c for c in dataset.tests[test] if self.symbols(c.label)]
        clips = clips[:: -(-len(clips) // 300) or 1]
        if not clips:
            return {}

        def figure(name: str) -> Callable[[Sequence[str], Sequence[str]], float]:
            return lambda truth, said: rate([EDITS[name](t, s) for t, s in zip(truth, said, strict=True)])

        return {name: text_chance(train, clips, figure(name)) for name in self.metrics}


ASR = Recognition("asr", "speech recognition", "wer", "cer")
"""The words that are said."""
PR = Recognition("pr", "phone recognition", "per")
"""The phones that are said."""
