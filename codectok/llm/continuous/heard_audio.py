"""The audio of one clip as the language model is given it: features of each encoder, or ids of the vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from codectok.errors import CodectokError, FingerprintError
from codectok.fingerprint import same
from codectok.llm.continuous.audio_input import AudioInput
from codectok.llm.continuous.sources import AudioSource
from codectok.llm.sequence.segments import Audio, Prompter
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.tokenizer import Tokenizer, load

Heard = tuple[Tensor, ...]
"""Of one clip: float32 [T, D] of each encoder (of one that is trained, its samples [S]), or int64 [N] ids; empty where
no audio is given."""
Reading = Callable[[int], np.ndarray]
"""A clip's samples, float32 [S], at a rate in Hz."""


@dataclass(frozen=True, eq=False)
class AudioFrontEnd:
    """What makes the audio of a clip into what the model is given.

    Attributes:
        input: which of the five.
        tokenizers: that make it, in order; () for none.
        prompter: writes ids of codes, for discrete input.
    """

    input: AudioInput
    tokenizers: tuple[Tokenizer, ...] = ()
    prompter: Prompter | None = None

    @classmethod
    def open(cls, chosen: AudioInput, device: str = "cpu", named: Sequence[str] | None = None) -> AudioFrontEnd:
        """Open the encoders, or the tokenizer, that the settings name.

        Args:
            chosen: the settings.
            device: for torch.
            named: other names, or folders, of the same encoders.

        Raises:
            CodectokError: one that is not to be had, has no codes, or no vectors of its codes.
        """
        if chosen.input == "none":
            return cls(chosen)
        codes = chosen.input in ("discrete", "quantized")
        wanted = (chosen.coder,) if codes else chosen.encoders
        if named is not None and len(named) != len(wanted):
            raise CodectokError(f"{' + '.join(named)}: the model hears by {len(wanted)} encoders, name as many")
        found = tuple(load(name, device=device) for name in named or wanted)
        if codes:
            found[0].choose_codebooks(chosen.codebooks or None, None)
        if chosen.input == "quantized":
            frame = torch.zeros(len(found[0].codebook_sizes), 1, dtype=torch.int64)
            found[0].quantized_features(found[0].tokens(frame, found[0].sample_rate))  # refused before any work
        return cls(chosen, found)

    def writing(self, text_tokenizer: Any, vocab: AudioVocab) -> AudioFrontEnd:
        """The same with the vocabulary that its codes are ids of.

        Raises:
            FingerprintError: a vocabulary of another tokenizer.
        """
        wanted = vocab.tokenizer_fingerprint
        if wanted is not None and not self.tokenizers[0].knows(wanted):
            raise FingerprintError(
                f"the model's audio tokens are of tokenizer {wanted}, not of {self.tokenizers[0].name} "
                f"({self.tokenizers[0].fingerprint}): name the tokenizer that it was extended with",
                wanted=wanted,
                found=self.tokenizers[0].fingerprint,
            )
        return AudioFrontEnd(self.input, self.tokenizers, Prompter(text_tokenizer, vocab))

    @property
    def fingerprints(self) -> list[str]:
        """Of the encoders."""
        return [tok.fingerprint for tok in self.tokenizers]

    @property
    def dims(self) -> list[int]:
        """D of each encoder's features."""
        return [tok.feature_dim for tok in self.tokenizers]

    @property
    def rates(self) -> list[Fraction]:
        """Frames a second of each, exact."""
        return [Fraction(tok.frame_rate) for tok in self.tokenizers]

    def check(self, fingerprints: Sequence[str]) -> None:
        """Check that these encoders are those that a model learned to hear by.

        Raises:
            FingerprintError: another one.
        """
        for tok, wanted in zip(self.tokenizers, fingerprints, strict=True):
            if not (tok.knows(wanted) or same(wanted, tok.fingerprint)):
                raise FingerprintError(
                    f"this model learned to hear by encoder {wanted}, {tok.name} is {tok.fingerprint}: "
                    "give the very encoder and layer that it was trained with (--tokenizer)",
                    wanted=wanted,
                    found=tok.fingerprint,
                )

    def __call__(self, read: Reading) -> Heard:
        """What is given of one clip; what is slow in it is the encoders.

        Raises:
            AudioError: samples that cannot be used.
        """
        return tuple(self.one(i, read(tok.sample_rate)) for i, tok in enumerate(self.tokenizers))

    def one(self, index: int, samples: np.ndarray) -> Tensor:
        """The same of one encoder, of samples at its rate."""
        tok, k = self.tokenizers[index], self.input.codebooks or None
        if self.input.encoder_train != "frozen":
            return torch.from_numpy(samples)  # its features are the model's own
        if self.input.input == "discrete":
            assert self.prompter is not None
            count = len(self.prompter.vocab.unit_sizes)
            return self.prompter.encode([Audio(tok.encode(samples, tok.sample_rate, num_codebooks=count))]).ids
        kind = "quantized" if self.input.input == "quantized" else "continuous"
        return AudioSource(tok, kind, k if kind == "quantized" else None)(samples, tok.sample_rate)


def collate_heard(clips: Sequence[Heard]) -> dict[str, Tensor]:
    """Clips as one batch: ``audio0`` [B, T, D] (or ids [B, N], or samples [B, S]) and ``lengths0`` [B], ``audio1``, ...

    Padding is 0.
    """
    found: dict[str, Tensor] = {}
    for i, parts in enumerate(zip(*clips, strict=True)):
        found[f"audio{i}"] = pad_sequence(list(parts), batch_first=True)
        found[f"lengths{i}"] = torch.tensor([len(part) for part in parts])
    return found
