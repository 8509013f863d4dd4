"""What a tokenizer's frames could be about: a teacher's units and the letters of transcripts, on its frame grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from codectok.audio.samples import to_int16
from codectok.errors import FormatError
from codectok.items.tables import table_rows
from train_codec.data import ClipArray, ClipSpan
from train_codec.distill.align import Grid, pooling
from train_codec.distill.teacher import TeacherCache

from ..split_tables import read_splits
from .letters import HOP, RATE, LetterModels, cepstra, words_of


@dataclass(frozen=True)
class FrameGrid:
    """Frames of a tokenizer: ``frame_size`` samples each at ``sample_rate`` Hz."""

    sample_rate: int
    frame_size: int

    @classmethod
    def of(cls, sample_rate: int, frame_rate: Fraction) -> FrameGrid:
        """The grid of a tokenizer.

        Raises:
            FormatError: its frames are not whole samples long.
        """
        size = sample_rate / frame_rate
        if size.denominator != 1:
            raise FormatError(f"frames of {size} samples: only tokenizers with whole samples a frame are compared")
        return cls(sample_rate, int(size))

    def whole_frames(self, samples_16k: int) -> int:
        """Frames that lie in so many samples at 16 kHz as a whole."""
        return samples_16k * self.sample_rate // (RATE * self.frame_size)


def as_clips(audios: Sequence[np.ndarray]) -> ClipArray:
    """Audio [S] at 16 kHz each, as the training data's array."""
    lengths = [len(a) for a in audios]
    samples = np.concatenate([to_int16(a) for a in audios])
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    spans = [ClipSpan(str(i), s, n) for i, (s, n) in enumerate(zip(starts, lengths, strict=True))]
    return ClipArray(samples, spans, RATE)


def on_frames(cache: TeacherCache, grid: FrameGrid) -> list[np.ndarray]:
    """A teacher's features on a tokenizer's whole frames: float32 [T, D] of each clip."""
    ratio = Fraction(grid.sample_rate, RATE)
    teacher = Grid(cache.grid.hop * ratio, cache.grid.offset * ratio)
    found = []
    for i, length in enumerate(cache.lengths):
        features = cache.clip(i)
        first, weights = pooling(teacher, 0, grid.whole_frames(int(length)), grid.frame_size, len(features))
        found.append(weights.astype(np.float32) @ features[first : first + weights.shape[1]])
    return found


def teacher_units(fit: list[np.ndarray], frames: list[np.ndarray], k: int, seed: int = 0) -> list[np.ndarray]:
    """k-means units (fitted on ``fit``) of the features [T, D] of each clip: int [T] each.

    Raises:
        FormatError: fewer frames to fit on than units.
    """
    from sklearn.cluster import MiniBatchKMeans

    data = np.concatenate(fit)
    if len(data) < k:
        raise FormatError(f"{len(data)} frames are too few to fit {k} units on: give more --fit-clips")
    model = MiniBatchKMeans(k, batch_size=4096, n_init=3, max_iter=100, random_state=seed).fit(data)
    return [model.predict(x) if len(x) else np.zeros(0, dtype=np.int64) for x in frames]


def transcripts(manifest: Path, splits: Path, language: str | None, use: str) -> tuple[str, dict[str, list[str]]]:
    """Words of the transcribed clips of one language, by path: that which most clips marked ``use`` have, by default.

    Clips marked dev are left out unless they are what is scored.

    Raises:
        FormatError: no such clips, or columns are missing.
    """
    marks = {r["path"]: r["use"] for r in read_splits(splits)}
    rows = [
        (row["path"], row["language"], words_of(row["transcript"]))
        for _, row in table_rows(manifest, ("path", "language", "transcript"))
    ]
    known = [(p, lang, words) for p, lang, words in rows if words and marks.get(p) in {use, "fit", "val", "mini-test"}]
    counts = Counter(lang for p, lang, _ in known if marks[p] == use)
    if not counts or (language is not None and language not in counts):
        raise FormatError(f"no clip marked {use} has a transcript" + (f" in {language}" if language else ""))
    chosen = language or counts.most_common(1)[0][0]
    return chosen, {p: words for p, lang, words in known if lang == chosen}


def letter_labels(
    audio: dict[str, np.ndarray], words: dict[str, list[str]], grid: FrameGrid
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Letters of each clip's whole frames (that at a frame's middle), int64 [T], and what the numbers stand for.

    Args:
        audio: [S] at 16 kHz of the clips to train the letters on, all of which are labelled.
        words: of each.
        grid: of the tokenizer.
    """
    features = {path: cepstra(x) for path, x in audio.items()}
    models = LetterModels(list(features.values()), [words[path] for path in features])
    found = {}
    for path, x in features.items():
        aligned = models.align(x, words[path])
        if aligned is not None:
            middles = (np.arange(grid.whole_frames(len(audio[path]))) + 0.5) * grid.frame_size / grid.sample_rate
            at = np.minimum(np.round(middles * RATE / HOP).astype(np.int64), len(aligned) - 1)
            found[path] = aligned[at]
    return found, ["(silence)", *models.letters]
