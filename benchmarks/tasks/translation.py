"""What is said, in another language: an attention encoder-decoder over word pieces (CTC cannot reorder)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from codectok.metrics.text import bleu

from ..contract import Clip, Dataset, Example, ItemScore, NotComputed, Score
from ..probes import ProbeOptions
from ..probes.frontend import collate
from ..probes.translator import Translator
from .chance import Interval, text_chance
from .discriminative import Answers, Discriminative, Trained, code_vectors
from .task import Assignment, TaskError

PIECES = 1000
"""Of the vocabulary, fitted on the training translations; fewer where they have no more."""


class Translation(Discriminative):
    """Speech to a text in another language, scored by corpus BLEU; decoding is greedy.

    The rate and the state are chosen by the cross-entropy of the validation translations. BLEU is no sum over clips,
    so there are no scores of single clips.
    """

    name, label, metrics, probes = (
        "st",
        "speech translation",
        ("bleu",),
        ("conformer", "bilstm", "contextnet", "linear"),
    )
    needs = "frames"

    def _fit(self, given: Assignment, options: ProbeOptions) -> Trained:
        split, batch, device = given.split, given.budget.batch, given.context.device
        texts = [example.clip.label for example in split.train]
        if not any(text.strip() for text in texts):
            raise TaskError(f"{self.name} on {given.dataset.name}: every training translation is empty")
        pieces = word_pieces(texts)
        vectors, start = code_vectors(given, options)
        targets = {e.clip.id: torch.tensor(pieces.encode(e.clip.label).ids) for e in (*split.train, *split.valid)}
        limit = 2 * max(len(targets[e.clip.id]) for e in split.train)

        def loss(model: nn.Module, examples: Sequence[Example], generator: torch.Generator | None = None) -> Tensor:
            assert isinstance(model, Translator)
            return model.loss(*collate(examples, device), [targets[e.clip.id] for e in examples])

        def goodness(model: nn.Module, examples: Sequence[Example]) -> float:
            parts = [examples[i : i + batch] for i in range(0, len(examples), batch)]
            return -sum(loss(model, part).item() * len(part) for part in parts) / len(examples)

        fitted = given.fit(
            lambda: Translator(given.probe, given.info, pieces.get_vocab_size(), options, vectors),
            loss,
            split.train,
            split.valid,
            goodness,
        )

        def predict(examples: Sequence[Example]) -> list[str]:
            assert isinstance(fitted.model, Translator)
            rows = fitted.model.write(*collate(examples, device), limit)
            return [pieces.decode(row).strip() for row in rows]

        notes = {"embeddings": start, "decoding": "greedy", "pieces": str(pieces.get_vocab_size())}
        return fitted, predict, notes

    def score(
        self, dataset: Dataset, test: str, said: Answers, train: Sequence[Clip]
    ) -> tuple[list[Score], list[ItemScore], dict[str, str]]:
        """Corpus BLEU of the clips that have an answer."""
        clips = dataset.tests[test]
        scored = [c for c in clips if c.id in said]
        value = bleu([c.label for c in scored], [str(said[c.id]) for c in scored]) if scored else None
        return [Score("bleu", test, value, len(scored), len(clips) - len(scored))], [], {}

    def chance(self, dataset: Dataset, test: str, train: Sequence[Clip]) -> dict[str, Interval]:
        """See :func:`benchmarks.tasks.chance.text_chance`."""
        clips = dataset.tests[test]
        return {"bleu": text_chance(train, clips, bleu, 20)} if clips else {}


def word_pieces(texts: Sequence[str]) -> Any:
    """Byte pair encoding of the texts (Sennrich et al. 2016), START and END first; a ``tokenizers.Tokenizer``.

    Raises:
        NotComputed: the package ``tokenizers`` is missing.
    """
    try:
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    except ImportError as error:
        raise NotComputed("tokenizers is not installed: pip install tokenizers") from error
    found: Any = Tokenizer(models.BPE())
    found.normalizer = normalizers.NFC()
    found.pre_tokenizer, found.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    marks = ["<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=PIECES, special_tokens=marks, show_progress=False)
    found.train_from_iterator(sorted(texts), trainer)
    return found


ST = Translation()
"""The words of another language that say the same."""
