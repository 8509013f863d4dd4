"""Stream objects: thin holders of state around a tokenizer's pure ``encode_step`` and ``decode_step``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from codectok import audio as _audio
from codectok.audio.samples import Audio
from codectok.errors import CodectokError
from codectok.tokens import Tokens

StreamState: TypeAlias = "Tensor | int | tuple[StreamState, ...] | list[StreamState] | dict[str, StreamState] | None"
"""What a step leaves to the next, None at the start: a tree of tensors, so that it can be kept, copied and moved."""
SCALE_SAMPLES = 1000
"""Samples of a stream from which on their scale is judged."""


class Steps(Protocol):
    """What a causal tokenizer offers to streams: pure functions of an explicit state, None at the start."""

    sample_rate: int
    block_seconds: float

    def encode_step(
        self, state: StreamState, chunk: Tensor, num_codebooks: int, final: bool = False
    ) -> tuple[StreamState, Tensor]:
        """One chunk [S] (any S >= 0) -> new state, codes [K, T] of the frames it completed; ``final`` ends it."""

    def decode_step(self, state: StreamState, codes: Tensor, final: bool = False) -> tuple[StreamState, Tensor]:
        """Codes [K, T] (any T >= 0) -> new state, the samples [S] they completed; ``final`` ends it."""

    def tokens(self, codes: Tensor, num_samples: int) -> Tokens:
        """Wrap codes [K, T] of this tokenizer."""

    def check(self, tokens: Tokens) -> Tokens:
        """Return ``tokens`` if this tokenizer made them, or raise."""


class StreamEncoder:
    """Push audio, get the tokens of the frames it completed.

    Args:
        tokenizer: a causal tokenizer.
        num_codebooks: codebooks to give.
        rate: Hz of the pushed audio; None for the tokenizer's.
    """

    def __init__(self, tokenizer: Steps, num_codebooks: int, rate: int | None = None) -> None:
        self.tokenizer = tokenizer
        self.num_codebooks = num_codebooks
        rate = _audio.check_rate(tokenizer.sample_rate if rate is None else rate)
        self._resampler = _audio.Resampler(rate, tokenizer.sample_rate)
        self._state: StreamState = None
        self._seen = self._pushed = self._loud = 0
        self._done = False

    def push(self, chunk: Audio) -> Tokens:
        """Samples [S] (any S) -> Tokens of the new frames only (T may be 0).

        ``num_samples`` of the result is how many samples at the tokenizer's rate the chunk brought.

        Raises:
            AudioError: NaN or Inf in the chunk, or samples at the scale of integers.
            CodectokError: the stream was flushed before.
        """
        samples = _audio.as_mono(chunk)
        _audio.check_finite(samples)
        self._pushed += len(samples)
        self._loud += _audio.count_loud(samples)
        if self._pushed >= SCALE_SAMPLES:  # a share of a few samples says nothing yet
            _audio.check_scale(self._loud, self._pushed)
        return self._step(self._resampler.push(samples), False)

    def flush(self) -> Tokens:
        """End the stream: Tokens of the frames that were still held back; none if it brought no audio.

        Raises:
            AudioError: the stream was too short to notice before that its samples are at the scale of integers.
        """
        _audio.check_scale(self._loud, self._pushed)
        tokens = self._step(self._resampler.flush(), True)
        self._done = True
        return tokens

    def _step(self, samples: np.ndarray, final: bool) -> Tokens:
        if self._done:
            raise CodectokError("this stream was flushed: open a new stream_encoder()")
        self._seen += len(samples)
        if not self._seen:  # padding alone would make a frame of nothing
            return self.tokenizer.tokens(torch.zeros(self.num_codebooks, 0, dtype=torch.int64), 0)
        chunk = torch.from_numpy(np.ascontiguousarray(samples))
        self._state, codes = self.tokenizer.encode_step(self._state, chunk, self.num_codebooks, final)
        return self.tokenizer.tokens(codes, len(samples))


class StreamDecoder:
    """Push tokens, get the samples they complete."""

    def __init__(self, tokenizer: Steps) -> None:
        self.tokenizer = tokenizer
        self._state: StreamState = None
        self._given = 0
        self._codebooks: int | None = None
        self._done = False

    def push(self, tokens: Tokens) -> np.ndarray:
        """Tokens [K, T] (any T) -> float32 [S'] at the tokenizer's rate.

        Raises:
            FingerprintError: another tokenizer's tokens.
            CodectokError: the number of codebooks changed within the stream, or the stream was flushed before.
        """
        codes = self.tokenizer.check(tokens).expand().codes
        if self._codebooks not in (None, len(codes)):
            raise CodectokError(f"this stream began with {self._codebooks} codebooks, these tokens have {len(codes)}")
        self._codebooks = len(codes)
        return self._step(codes, False)

    def flush(self, num_samples: int | None = None) -> np.ndarray:
        """End the stream: what is left of it, float32 [S'].

        With ``num_samples``, all that this stream gave joins to at least that many samples, and to exactly that many
        unless the last push went past it already (a frame is given whole): keep the first ``num_samples``.
        """
        codes = torch.zeros(self._codebooks or 1, 0, dtype=torch.int64)
        given = self._given
        samples = self._step(codes, True)
        self._done = True
        if num_samples is None:
            return samples
        rest = samples[: max(0, num_samples - given)]
        return np.pad(rest, (0, max(0, num_samples - given - len(rest))))

    def _step(self, codes: torch.Tensor, final: bool) -> np.ndarray:
        if self._done:
            raise CodectokError("this stream was flushed: open a new stream_decoder()")
        self._state, samples = self.tokenizer.decode_step(self._state, codes, final)
        self._given += len(samples)
        return samples.numpy()


def encode_blocks(tokenizer: Steps, path: str | os.PathLike[str], num_codebooks: int) -> Iterator[Tokens]:
    """Stream a file through an encoder, block by block; see :meth:`Tokenizer.encode_blocks`."""
    with _audio.AudioReader(path) as reader:
        encoder = StreamEncoder(tokenizer, num_codebooks, reader.rate)
        for block in reader.blocks(tokenizer.block_seconds):
            yield encoder.push(block)
        yield encoder.flush()
        _audio.tell(reader)


def encode_file(tokenizer: Steps, path: str | os.PathLike[str], num_codebooks: int) -> Tokens:
    """Tokens of a file of any length; memory does not grow with it, but for the codes."""
    parts = list(encode_blocks(tokenizer, path, num_codebooks))
    return tokenizer.tokens(torch.cat([p.codes for p in parts], 1), sum(p.num_samples for p in parts))
