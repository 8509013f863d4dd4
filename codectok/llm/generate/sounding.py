"""From frames, as they come, to pieces of one audio that join to what decoding it whole gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codectok.tokenizer import Tokenizer


@dataclass(frozen=True, eq=False)
class AudioPiece:
    """Some audio.

    Attributes:
        codes: int64 [K, n], the frames of this piece.
        samples: float32 [S] at ``sample_rate``; pieces of one audio join to it. None without an audio tokenizer.
        sample_rate: Hz; 0 without an audio tokenizer.
        last: whether the audio is complete; the next piece of audio begins another.
    """

    codes: Tensor
    samples: np.ndarray | None
    sample_rate: int
    last: bool


class Sounding:
    """One audio, decoded while its frames come.

    Args:
        tok: the audio tokenizer; None: pieces have codes only. One that is not causal gives the audio as one piece.
        codebooks: K.
        chunk_seconds: the least length of a piece, but for the last; 0 decodes every frame as it comes.
    """

    def __init__(self, tok: Tokenizer | None, codebooks: int, chunk_seconds: float) -> None:
        self._tok, self._codebooks = tok, codebooks
        self._chunk = 1 if tok is None else max(1, int(chunk_seconds * tok.frame_rate))
        self._decoder: Any = tok.stream_decoder() if tok is not None and tok.causal else None
        self._waiting: list[Tensor] = []
        self.frames = 0
        """Frames so far."""

    def push(self, codes: Tensor) -> list[AudioPiece]:
        """Frames [K, n]; the piece that they complete."""
        if codes.shape[1]:
            self._waiting.append(codes)
            self.frames += codes.shape[1]
        ready = sum(c.shape[1] for c in self._waiting) >= self._chunk
        return [self._piece(False)] if ready and (self._tok is None or self._decoder is not None) else []

    def skip(self) -> None:
        """Take what waits as known to the listener. It stays part of an audio that is decoded whole."""
        if self._tok is None or self._decoder is not None:
            self._piece(False)

    def end(self) -> AudioPiece:
        """The rest."""
        return self._piece(True)

    def _piece(self, last: bool) -> AudioPiece:
        codes = torch.cat([torch.zeros(self._codebooks, 0, dtype=torch.int64), *self._waiting], 1)
        self._waiting = []
        if self._tok is None:
            return AudioPiece(codes, None, 0, last)
        # Length in samples of the whole audio so far, exact: pieces must join to what decode() gives.
        length = int(self.frames * self._tok.sample_rate / self._tok.frame_rate)
        if self._decoder is None:
            samples = self._tok.decode(self._tok.tokens(codes, length)) if self.frames else np.zeros(0, np.float32)
        else:
            samples = self._decoder.push(self._tok.tokens(codes, 0))
            if last:
                samples = np.concatenate([samples, self._decoder.flush(length)])
        return AudioPiece(codes, samples, self._tok.sample_rate, last)
