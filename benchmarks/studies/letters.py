"""Approximate phone labels: the letters of transcripts, aligned to the audio by hidden Markov models.

The classical recipe of speech recognition before any neural network: one model a letter (two states with one diagonal
Gaussian each), one of silence, trained from a flat start by Viterbi alignment on cepstra. Letters are not phones (least
so in English or Danish), and no boundary is checked by hand: fit to compare two tokenizers on the same frames, not to
be set beside figures on forced alignments of a phone dictionary. Nothing in it comes from a speech model that a
tokenizer could have been distilled from.
"""

from __future__ import annotations

import unicodedata

import numpy as np
import torch

from codectok.metrics.registry import MetricError

RATE, HOP, WINDOW = 16000, 160, 400
SILENCE = ""
STATES = 2
"""Of a letter, each at least a frame (10 ms) long."""
LONGEST = 50
"""Frames that a letter's state is held at most in an alignment to be believed."""
STAY = 0.25
"""Nats that a letter's state costs for every frame that it is held: speech sounds end, silence may go on."""


def words_of(transcript: str) -> list[str] | None:
    """Words of letters only, lower case; None for a transcript with digits (it is not known how they were read)."""
    text = unicodedata.normalize("NFC", transcript.lower())
    if any(c.isdigit() for c in text):
        return None
    kept = "".join(c if c.isalpha() else " " if c.isspace() or c in "-/" else "" for c in text)
    return kept.split() or None


def cepstra(audio: np.ndarray) -> np.ndarray:
    """13 mel cepstra with their first and second differences, normalised over the clip: [S] -> float64 [T, 39].

    Frame t is centred on sample ``160 t``.
    """
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(WINDOW // 2 + 1, 26, 20.0, 7600.0, RATE)
    x = torch.from_numpy(np.append(audio[:1], audio[1:] - 0.97 * audio[:-1]).astype(np.float32))
    x = torch.nn.functional.pad(x, (WINDOW // 2, WINDOW // 2))
    spectrum = torch.stft(x, WINDOW, HOP, window=torch.hann_window(WINDOW), center=False, return_complex=True)
    mel = np.log(spectrum.abs().square().numpy().T @ bank + 1e-8)
    bins = mel.shape[1]
    base = mel @ np.cos(np.pi / bins * np.outer(np.arange(bins) + 0.5, np.arange(13)))
    parts = [base]
    for _ in range(2):
        around = np.pad(parts[-1], ((2, 2), (0, 0)), mode="edge")
        parts.append((around[3:-1] - around[1:-3] + 2 * (around[4:] - around[:-4])) / 10)
    found = np.concatenate(parts, 1)
    return (found - found.mean(0)) / (found.std(0) + 1e-6)


def chain(words: list[str]) -> tuple[list[tuple[str, int]], np.ndarray]:
    """States of a transcript in order, and which of them may be left out: silence before, between and after words."""
    states, optional = [(SILENCE, 0)], [True]
    for word in words:
        states += [(letter, k) for letter in word for k in range(STATES)] + [(SILENCE, 0)]
        optional += [False] * (STATES * len(word)) + [True]
    return states, np.array(optional)


def best_path(scores: np.ndarray, optional: np.ndarray) -> np.ndarray | None:
    """Viterbi: the state of each frame, int64 [T], left to right through all states that are not optional.

    Args:
        scores: log-likelihood of each frame in each state, [T, S].
        optional: bool [S]; no two neighbours are.

    Returns:
        None if there are fewer frames than states to go through.
    """
    frames, states = scores.shape
    skip = np.zeros(states, dtype=bool)
    skip[2:] = optional[1:-1]
    best = np.full(states, -np.inf)
    best[0] = scores[0, 0]
    if optional[0] and states > 1:
        best[1] = scores[0, 1]
    came = np.zeros((frames, states), dtype=np.int8)
    for t in range(1, frames):
        step = np.full((3, states), -np.inf)
        step[0] = best
        step[1, 1:] = best[:-1]
        step[2, 2:] = np.where(skip[2:], best[:-2], -np.inf)
        came[t] = step.argmax(0)
        best = step.max(0) + scores[t]
    last = states - 1
    if optional[-1] and states > 1 and best[-2] > best[-1]:
        last = states - 2
    if not np.isfinite(best[last]):
        return None
    path = np.empty(frames, dtype=np.int64)
    for t in range(frames - 1, -1, -1):
        path[t] = last
        last -= int(came[t, last])
    return path


class LetterModels:
    """Gaussians of the letters of one language.

    Args:
        features: cepstra [T, D] of each clip.
        transcripts: words of each clip.
        iterations: Viterbi alignments.

    Raises:
        MetricError: no clips.
    """

    def __init__(self, features: list[np.ndarray], transcripts: list[list[str]], iterations: int = 12) -> None:
        if not features:
            raise MetricError("letters cannot be aligned: no clip has a transcript")
        self.letters = sorted({c for words in transcripts for word in words for c in word})
        names = [(SILENCE, 0), *((c, k) for c in self.letters for k in range(STATES))]
        self._index = {name: i for i, name in enumerate(names)}
        paths: list[np.ndarray | None] = [self._flat(x, w) for x, w in zip(features, transcripts, strict=True)]
        for _ in range(iterations):
            self._estimate(features, paths)
            paths = [self._states(x, w) for x, w in zip(features, transcripts, strict=True)]

    def align(self, features: np.ndarray, words: list[str]) -> np.ndarray | None:
        """Letter of each frame, int64 [T]: 0 for silence, else its place in ``letters`` from 1.

        None if the clip is too short for its words, or a letter comes out longer than any is: they do not fit.
        """
        path = self._states(features, words)
        if path is None:
            return None
        ends = np.flatnonzero(np.append(np.diff(path) != 0, True))
        held = np.diff(ends, prepend=-1)[path[ends] > 0]
        return None if held.size and held.max() > LONGEST else (path + STATES - 1) // STATES

    def _flat(self, x: np.ndarray, words: list[str]) -> np.ndarray | None:
        """Silence where it is quiet, and the letters in equal parts over the rest."""
        low, high = np.quantile(x[:, 0], (0.05, 0.95))
        loud = x[:, 0] >= low + 0.4 * (high - low)
        first, last = int(loud.argmax()), len(x) - int(loud[::-1].argmax())
        states = [self._index[s] for s in chain(words)[0] if s[0] != SILENCE]
        path = np.zeros(len(x), dtype=np.int64)
        path[first:last] = np.array(states)[np.arange(last - first) * len(states) // (last - first)]
        path[~loud] = 0
        return path

    def _estimate(self, features: list[np.ndarray], paths: list[np.ndarray | None]) -> None:
        used = [(x, p) for x, p in zip(features, paths, strict=True) if p is not None]
        if not used:
            raise MetricError("letters cannot be aligned: every clip is too short for its transcript")
        x, path = np.concatenate([u[0] for u in used]), np.concatenate([u[1] for u in used])
        count = np.bincount(path, minlength=len(self._index))[:, None]
        whole_mean, whole_var, prior = x.mean(0), x.var(0), 10.0
        sums, squares = np.zeros((len(count), x.shape[1])), np.zeros((len(count), x.shape[1]))
        np.add.at(sums, path, x)
        np.add.at(squares, path, x**2)
        # A few frames of the whole are mixed in: a rare letter keeps a Gaussian that is wide enough.
        self._mean = (sums + prior * whole_mean) / (count + prior)
        second = (squares + prior * (whole_var + whole_mean**2)) / (count + prior)
        self._var = np.maximum(second - self._mean**2, 0.1 * whole_var)

    def _states(self, x: np.ndarray, words: list[str]) -> np.ndarray | None:
        names, optional = chain(words)
        if any(name not in self._index for name in names):
            return None
        chosen = np.array([self._index[name] for name in names])
        inverse = 1 / self._var
        constant = (np.log(self._var) + self._mean**2 * inverse).sum(1)
        scores = -0.5 * (x**2 @ inverse.T - 2 * x @ (self._mean * inverse).T + constant)
        scores[:, 1:] -= STAY
        path = best_path(scores[:, chosen], optional)
        return None if path is None else chosen[path]
