"""Whole files through a tokenizer: block by block where it is causal, so that memory doesn't grow with their length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from codectok.audio import AudioWriter, write_audio
from codectok.errors import FormatError
from codectok.tokenizer import Tokenizer
from codectok.tokens import CtkReader, CtkWriter, Tokens

DECODE_SECONDS = 1.0
"""Decoded at a time: a block of a .ctk file can be minutes of audio, whose activations would not fit into the cache."""

Tell = Callable[[float], None]
"""Is told the seconds of audio done, now and then."""


@dataclass(frozen=True)
class Streamed:
    """What went through: samples at the tokenizer's rate, and the codes as [num_codebooks, num_columns]."""

    num_samples: int
    num_columns: int
    num_codebooks: int


def encode_file(tok: Tokenizer, num_codebooks: int, source: Path, target: Path, tell: Tell) -> Streamed:
    """An audio file to a .ctk file.

    Raises:
        AudioError: unreadable, empty or not finite; nothing is written.
    """
    if not tok.causal:
        tokens = tok.encode(source, num_codebooks=num_codebooks)
        tokens.save(target)
        return Streamed(tokens.num_samples, tokens.codes.shape[1], num_codebooks)
    num_samples = num_columns = 0
    sizes = tok.codebook_sizes[:num_codebooks]
    with CtkWriter(target, tok.sample_rate, tok.frame_rate, sizes, tok.fingerprint) as writer:
        for piece in tok.encode_blocks(source, num_codebooks):
            writer.write(piece.codes)
            num_samples += piece.num_samples
            num_columns += piece.codes.shape[1]
            tell(num_samples / tok.sample_rate)
        writer.finish(num_samples)
    return Streamed(num_samples, num_columns, num_codebooks)


def decode_file(
    tok: Tokenizer, source: Path, target: Path, tell: Tell, *, num_codebooks: int | None = None
) -> Streamed:
    """A .ctk file to an audio file, whose format is that of its suffix; of its first codebooks, or of all.

    Raises:
        FingerprintError: another tokenizer's tokens; nothing is written.
        FormatError: a damaged file; nothing is written.
        CodeRangeError: more codebooks than it has; nothing is written.
    """
    if not tok.causal:
        tokens = Tokens.load(source)
        tokens = tokens if num_codebooks is None else tokens.first(num_codebooks)
        write_audio(target, tok.decode(tokens), tok.sample_rate)
        return Streamed(tokens.num_samples, tokens.codes.shape[1], tokens.num_codebooks)
    with CtkReader(source) as reader, AudioWriter(target, tok.sample_rate) as writer:
        missing, k = reader.num_samples, num_codebooks or len(reader.codebook_sizes)
        for samples in _decoded_blocks(tok, reader, k):
            # The frames that hold the last samples may reach past them.
            writer.write(samples[:missing])
            missing -= min(len(samples), missing)
            tell((reader.num_samples - missing) / tok.sample_rate)
        if missing > tok.sample_rate:
            raise FormatError(f"its frames end {missing / tok.sample_rate:.1f} s before its samples: encode again")
        # Tokens made by hand may fall a little short: silence, as offline.
        writer.write(np.zeros(missing, np.float32))
        return Streamed(reader.num_samples, reader.num_columns, k)


def _decoded_blocks(tok: Tokenizer, reader: CtkReader, k: int) -> Iterator[np.ndarray]:
    """Samples of successive blocks of about a second, float32 [S]."""
    none = torch.zeros(len(reader.codebook_sizes), 0, dtype=torch.int64)
    head = Tokens(none, 0, reader.sample_rate, reader.frame_rate, reader.codebook_sizes, reader.fingerprint).first(k)
    decoder = tok.stream_decoder()
    # Checks the fingerprint even of a file without frames.
    yield decoder.push(head)
    frames = max(1, round(DECODE_SECONDS * tok.frame_rate))
    for codes in reader.blocks():
        for piece in codes.split(frames, 1):
            yield decoder.push(replace(head, codes=piece[:k]))
    yield decoder.flush()
