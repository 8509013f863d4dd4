"""Where scores at chance lie: what guessers that hear nothing of the label score on the very test labels, with 95 %.

Three guessers of a class: one draws a class for each clip from the training clips' frequencies; one draws a class for
each *speaker* so (a probe that learned noise answers alike for clips that sound alike); one always says the commonest
class. The interval holds 95 % of the scores of each of the first two, and the third's. With few speakers it is wide, as
it must be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from ..contract import Clip

DRAWS = 1000
Interval = tuple[float, float]
Figure = Callable[[Sequence[str], Sequence[str]], float]
"""(references, answers) -> score."""


def class_chance(train: Sequence[Clip], test: Sequence[Clip], figure: Figure, draws: int = DRAWS) -> Interval:
    """Interval of a score of classes; the same for the same labels.

    Args:
        train: clips whose label frequencies the guessers know.
        test: clips that are guessed; one or more.
        figure: accuracy or macro F1.
        draws: of each guesser that draws.
    """
    counts = Counter(clip.label for clip in train)
    classes = sorted(counts)
    share = np.array([counts[c] for c in classes]) / len(train)
    truth = [clip.label for clip in test]
    speakers, place = np.unique([clip.speaker for clip in test], return_inverse=True)
    rng = np.random.default_rng(0)

    def score(guess: np.ndarray) -> float:
        return figure(truth, [classes[i] for i in guess])

    by_clip = [score(rng.choice(len(classes), len(test), p=share)) for _ in range(draws)]
    by_speaker = [score(rng.choice(len(classes), len(speakers), p=share)[place]) for _ in range(draws)]
    common = score(np.full(len(test), int(share.argmax())))
    return hull([by_clip, by_speaker, [common]])


def text_chance(train: Sequence[Clip], test: Sequence[Clip], figure: Figure, draws: int = 50) -> Interval:
    """Interval of an error rate or BLEU of guessed texts.

    The guessers: one writes the text of a training clip drawn at random for each test clip; others write nothing, or
    one of the ten commonest words of the training texts, for every clip.
    """
    texts = [clip.label for clip in train]
    truth = [clip.label for clip in test]
    rng = np.random.default_rng(0)
    drawn = [figure(truth, [texts[i] for i in rng.integers(len(texts), size=len(truth))]) for _ in range(draws)]
    words = Counter(word for text in texts for word in text.split())
    common = ["", *(word for word, _ in sorted(words.items(), key=lambda pair: (-pair[1], pair[0]))[:10])]
    return hull([drawn, [figure(truth, [word] * len(truth)) for word in common]], whole_last=True)


def hull(scores: Sequence[Sequence[float]], whole_last: bool = False) -> Interval:
    """The smallest interval with the middle 95 % of each list in it; of the last list all, if so asked."""
    ends = [np.quantile(part, [0.025, 0.975]) for part in scores]
    if whole_last:
        ends[-1] = np.array([min(scores[-1]), max(scores[-1])])
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))
