"""What BPE makes of Tokens: ids, and all that gives the Tokens back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Merged:
    """One utterance as BPE tokens; ``bpe.decode`` gives the very Tokens that it was made of.

    Attributes:
        ids: int64 [N], each in ``0..vocab_size - 1``.
        durations: int64 [T], frames of each run, where runs of equal frames were merged; None otherwise.
        deduplicated: whether the Tokens came deduplicated.
        num_samples: length of the audio at ``sample_rate``.
        sample_rate: Hz, the tokenizer's.
        frame_rate: frames per second, exact.
        codebook_sizes: of the Tokens.
        fingerprint: of the tokenizer.
        bpe_fingerprint: of the BPE.
        vocab_size: of the BPE.
    """

    ids: Tensor
    durations: Tensor | None
    deduplicated: bool
    num_samples: int
    sample_rate: int
    frame_rate: Fraction
    codebook_sizes: tuple[int, ...]
    fingerprint: str
    bpe_fingerprint: str
    vocab_size: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def duration(self) -> float:
        """Length of the audio in seconds."""
        return self.num_samples / self.sample_rate

    @property
    def token_rate(self) -> float:
        """BPE tokens per second of audio."""
        return len(self.ids) / self.duration if self.num_samples else 0.0

    @property
    def bitrate(self) -> float:
        """Nominal bitrate of the ids in kbit/s: log2 of the vocabulary's size, times the token rate."""
        return self.token_rate * math.log2(self.vocab_size) / 1000

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Merged):
            return NotImplemented
        if (self.durations is None) != (other.durations is None):
            return False
        same = self.durations is None or torch.equal(self.durations, other.durations)  # type: ignore[arg-type]
        facts = [(m.deduplicated, m.num_samples, m.sample_rate, m.frame_rate) for m in (self, other)]
        makers = [(m.codebook_sizes, m.fingerprint, m.bpe_fingerprint, m.vocab_size) for m in (self, other)]
        return same and torch.equal(self.ids, other.ids) and facts[0] == facts[1] and makers[0] == makers[1]

    __hash__ = None  # type: ignore[assignment]
