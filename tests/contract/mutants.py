"""Broken tokenizers that the contract must catch: each names the clause that has to fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from codectok import Tokenizer
from codectok.codec.tokenizer import CodecTokenizer
from tests.contract.subjects import SUBJECTS

_MAKE = {s.name: s.make for s in SUBJECTS}


def _like(name: str, kind: type[CodecTokenizer]) -> Tokenizer:
    """A mutant class around the model of a healthy subject."""
    healthy: Any = _MAKE[name]()
    return kind(healthy.model, kind.__name__, healthy.fingerprint, block_seconds=0.5)


class LeakedPadding(CodecTokenizer):
    """Pads a batch in front to its longest clip and cuts the padding's frames away."""

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        longest = max(map(len, clips))
        padded = [np.pad(c, (longest - len(c), 0)) for c in clips]
        codes = super()._encode(padded, num_codebooks)
        return [c[:, c.shape[1] - self.num_frames(len(x)) :] for c, x in zip(codes, clips, strict=True)]


class BatchNormalised(CodecTokenizer):
    """Normalises by the loudest clip of the batch."""

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        peak = max(float(np.abs(c).max()) for c in clips)
        return super()._encode([c / max(peak, 1e-3) for c in clips], num_codebooks)


class DroppedEncoderState(CodecTokenizer):
    """Forgets the model's state between pushes."""

    def encode_step(self, state: Any, chunk: Tensor, num_codebooks: int, final: bool = False) -> tuple[Any, Tensor]:
        state, codes = super().encode_step(state, chunk, num_codebooks, final)
        return (state[0], None), codes


class DroppedDecoderState(CodecTokenizer):
    """Forgets the overlap between pushed tokens."""

    def decode_step(self, state: Any, codes: Tensor, final: bool = False) -> tuple[Any, Tensor]:
        state, samples = super().decode_step(state, codes, final)
        if state[1] is None:
            return state, samples
        zeroed = _map_tensors(state[1])
        return (state[0], zeroed), samples


def _map_tensors(state: Any) -> Any:
    from codectok.codec.state_trees import tree_map

    return tree_map(torch.zeros_like, state)


class LostTail(CodecTokenizer):
    """Never gives the last, partial frame of a stream."""

    def encode_step(self, state: Any, chunk: Tensor, num_codebooks: int, final: bool = False) -> tuple[Any, Tensor]:
        state, codes = super().encode_step(state, chunk, num_codebooks, False)
        return state, codes


class BlockDependent(CodecTokenizer):
    """Starts afresh at every block of long audio."""

    def _lockstep(self, items: list[Tensor], block: int, step: Any) -> Any:
        return super()._lockstep(items, block, lambda x, state, final: step(x, None, final))


class OffByOneTrim(CodecTokenizer):
    """Cuts the first sample instead of the last."""

    @staticmethod
    def _trim(samples: Tensor, num_samples: int) -> np.ndarray:
        cut = samples[1 : num_samples + 1] if len(samples) > num_samples else samples
        return F.pad(cut, (0, max(0, num_samples - len(cut)))).numpy()


class OneSampleShort(CodecTokenizer):
    """Gives one sample less than was put in."""

    @staticmethod
    def _trim(samples: Tensor, num_samples: int) -> np.ndarray:
        return samples[: num_samples - 1].numpy()


class WrongFormula(CodecTokenizer):
    """Counts frames by rounding."""

    def num_frames(self, num_samples: int) -> int:
        return round(num_samples / self.model.frame_size)


class NoPrefix(CodecTokenizer):
    """Uses the last k codebooks, not the first."""

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        return [c[-num_codebooks:] for c in super()._encode(clips, len(self.codebook_sizes))]


class Dithered(CodecTokenizer):
    """Adds noise from the global random state."""

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        return super()._encode([c + 0.01 * torch.randn(len(c)).numpy() for c in clips], num_codebooks)


class Lenient(CodecTokenizer):
    """Replaces NaN by silence instead of saying so."""

    def _encode_clips(self, audios: Any, rate: int | None, k: int) -> Any:
        return super()._encode_clips([a if isinstance(a, str | Path) else np.nan_to_num(a) for a in audios], rate, k)


class AnyFingerprint(CodecTokenizer):
    """Decodes whatever it is given."""

    def check(self, tokens: Any) -> Any:
        return tokens


MUTANTS: list[tuple[type[CodecTokenizer], str]] = [
    (LeakedPadding, "batch"),
    (BatchNormalised, "batch"),
    (DroppedEncoderState, "stream"),
    (DroppedDecoderState, "stream"),
    (LostTail, "stream"),
    (BlockDependent, "long"),
    (OffByOneTrim, "stream"),
    (OneSampleShort, "lengths"),
    (WrongFormula, "lengths"),
    (NoPrefix, "prefix"),
    (Dithered, "determinism"),
    (Lenient, "bad input"),
    (AnyFingerprint, "bad input"),
]


def make_mutant(kind: type[CodecTokenizer], subject: str) -> Callable[[], Tokenizer]:
    """The mutant on the model of ``subject``."""
    return lambda: _like(subject, kind)


__all__ = ["MUTANTS", "make_mutant"]
