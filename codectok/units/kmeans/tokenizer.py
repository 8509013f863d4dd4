"""A speech encoder and unit streams as a Tokenizer; a vocoder, where there is one, decodes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from codectok.errors import CodectokError
from codectok.tokenizer import Tokenizer
from codectok.units.encoders.loading import load_encoder
from codectok.units.encoders.speech_encoder import SpeechEncoder
from codectok.units.kmeans.folder import Vocoder, save_units, units_fingerprint
from codectok.units.kmeans.stream import Stream

PORTION_SECONDS = 600
"""Audio of a batch whose features are held at a time."""


class UnitTokenizer(Tokenizer):
    """Units of speech features: the codebooks of all streams, in their order.

    Not causal: the encoders attend in both directions. ``features`` are the encoder's, its layers side by side.

    Args:
        encoder: opened with the layers that the streams read.
        streams: at least one.
        name: how messages call it.
        device: where the streams search (the encoder knows its own).
        vocoder: None for a tokenizer that cannot decode.
        folder: it was opened from, where ``bpe.json`` is looked for.

    Raises:
        CodectokError: a stream that does not fit the encoder.
    """

    can_decode = False

    def __init__(
        self,
        encoder: SpeechEncoder,
        streams: Sequence[Stream],
        name: str,
        device: str | torch.device = "cpu",
        *,
        vocoder: Vocoder | None = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        if not streams:
            raise CodectokError("a unit tokenizer needs at least one stream")
        for i, s in enumerate(streams):
            if s.layer_index >= len(encoder.layers):
                raise CodectokError(
                    f"stream {i} reads layer_index {s.layer_index}, the encoder was opened with {len(encoder.layers)} "
                    "layers (counted from 0): open it with all that the streams need"
                )
            if s.dim != encoder.layer_dim:
                raise CodectokError(
                    f"stream {i} is for features of width {s.dim}, the encoder's have {encoder.layer_dim}: "
                    "use the encoder that it was fitted on"
                )
        self.encoder = encoder
        self.streams = [s.to(device) for s in streams]
        self.name = name
        self.device = torch.device(device)
        self.vocoder = vocoder
        self.can_decode = vocoder is not None
        self.folder = None if folder is None else Path(folder)
        self.sample_rate = encoder.sample_rate
        self.frame_rate = encoder.frame_rate
        self.feature_dim = encoder.dim
        self.codebook_sizes = tuple(size for s in self.streams for size in s.sizes)
        self.fingerprint = units_fingerprint(encoder.fingerprint, self.streams)

    @property
    def model(self) -> nn.Module:
        """The encoder's network."""
        return self.encoder.model

    @property
    def window_frames(self) -> int:
        """See :class:`~codectok.abilities.WorksInWindows`."""
        return self.encoder.window_frames

    def num_frames(self, num_samples: int) -> int:
        """The encoder's formula."""
        return self.encoder.num_frames(num_samples)

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        found: list[Tensor] = [torch.empty(0)] * len(clips)
        long: list[int] = []
        short: list[int] = []
        for i, clip in enumerate(clips):
            (long if self.num_frames(len(clip)) > self.encoder.window_frames else short).append(i)
        for row in long:
            blocks = self.encoder.feature_blocks(clips[row])
            found[row] = torch.cat([self.units(f, num_codebooks) for f in blocks], 1)
        for rows in self._portions(short, clips):
            for row, f in zip(rows, self.encoder.features_batch([clips[r] for r in rows]), strict=True):
                found[row] = self.units(f, num_codebooks)
        return found

    def _features(self, clips: list[np.ndarray]) -> list[Tensor]:
        return self.encoder.features_batch(clips)

    def why_not_decode(self) -> str:
        """The vocoder is what is missing."""
        return (
            f"{self.name} cannot decode: it has no vocoder; train_codec can train one, "
            f"which belongs in {self.folder or 'its model folder'}/vocoder"
        )

    def _move(self, device: torch.device) -> None:
        self.encoder.to(device)
        self.streams = [s.to(device) for s in self.streams]

    def _decode(self, codes: list[Tensor], num_samples: list[int]) -> list[np.ndarray]:
        assert self.vocoder is not None, "decode_batch asks can_decode first"
        return [self.vocoder.decode(c.to(self.device), n) for c, n in zip(codes, num_samples, strict=True)]

    def _code_vectors(self, codebook: int) -> Tensor:
        for s in self.streams:
            if codebook < len(s.sizes):
                break
            codebook -= len(s.sizes)
        codes = torch.zeros(codebook + 1, s.sizes[codebook], dtype=torch.int64)
        codes[codebook] = torch.arange(s.sizes[codebook])
        vectors = s.vectors(codes)
        return vectors - s.vectors(codes[:codebook, :1]) if codebook else vectors

    def _quantized_features(self, codes: Tensor) -> Tensor:
        """The streams' vectors, each at its layer; the mean where several read one layer, 0 where none does."""
        width = self.encoder.layer_dim
        total = torch.zeros(codes.shape[1], self.feature_dim)
        readers, used = [0] * len(self.encoder.layers), 0
        for s, count in self._needed(len(codes)):
            total[:, s.layer_index * width : (s.layer_index + 1) * width] += s.vectors(codes[used : used + count])
            readers[s.layer_index] += 1
            used += count
        return total / torch.tensor(readers).clamp(min=1).repeat_interleave(width)

    def units(self, features: Tensor, num_codebooks: int | None = None) -> Tensor:
        """Codes int64 [K, T] of features [T, D] that ``features`` gave; the first ``num_codebooks``, None for all.

        Raises:
            CodectokError: another width than ``feature_dim``, or values that are NaN or infinite.
        """
        width = self.encoder.layer_dim
        if features.dim() != 2 or features.shape[1] != self.feature_dim:
            raise CodectokError(f"features of shape {list(features.shape)}: give [T, {self.feature_dim}]")
        parts = []
        for s, count in self._needed(self.choose_codebooks(num_codebooks, None)):
            parts.append(s.encode(features[:, s.layer_index * width : (s.layer_index + 1) * width], count))
        return torch.cat(parts)

    def first(self, num_codebooks: int) -> UnitTokenizer:
        """The same tokenizer with its first codebooks only, and an encoder that ends at the last layer they read.

        Codes and fingerprint stay the same: the tokens are this tokenizer's. The features are of fewer layers.

        Raises:
            CodeRangeError: more codebooks than there are, or none.
        """
        count = self.choose_codebooks(num_codebooks, None)
        streams = [copy(s) for s, _ in self._needed(count)]
        used = sorted({s.layer_index for s in streams})
        options = {**self.encoder.options(), "layer": [self.encoder.layers[i] for i in used]}
        for s in streams:
            s.layer_index = used.index(s.layer_index)
        encoder = load_encoder(**options, device=str(self.encoder.device))
        part = UnitTokenizer(encoder, streams, self.name, self.device, vocoder=self.vocoder, folder=self.folder)
        part.fingerprint, part.codebook_sizes = self.fingerprint, self.codebook_sizes[:count]
        return part

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the model folder; the encoder is named in it, not copied. BPE and vocoder come along."""
        save_units(self, folder)

    def _needed(self, num_codebooks: int) -> list[tuple[Stream, int]]:
        """The streams of the first codebooks, and how many codebooks of each."""
        needed, left = [], num_codebooks
        for s in self.streams:
            if left > 0:
                needed.append((s, min(left, len(s.sizes))))
                left -= len(s.sizes)
        return needed

    def _portions(self, which: Sequence[int], clips: Sequence[np.ndarray]) -> Iterator[list[int]]:
        """Indices out of ``which``, of clips of similar length, at most ``PORTION_SECONDS`` together (or one clip)."""
        portion: list[int] = []
        held, limit = 0, PORTION_SECONDS * self.sample_rate
        for i in sorted(which, key=lambda i: len(clips[i])):
            if portion and held + len(clips[i]) > limit:
                yield portion
                portion, held = [], 0
            portion.append(i)
            held += len(clips[i])
        if portion:
            yield portion

    def __repr__(self) -> str:
        where = f"layers {list(self.encoder.layers)} of {self.encoder.name_or_path}"
        return f"UnitTokenizer({self.name}: {where}, codebooks {list(self.codebook_sizes)})"
