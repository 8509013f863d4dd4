"""``codectok.load("encoder:ID@layer=L")``: the continuous features of a speech encoder, without any codes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from codectok import registry
from codectok.errors import CodectokError
from codectok.tokenizer import Tokenizer
from codectok.units.encoders.loading import load_encoder
from codectok.units.encoders.speech_encoder import SpeechEncoder
from codectok.units.encoders.trained import TrainedEncoder

_LAYERS = re.compile(r"-?\d+(,-?\d+)*")


class EncoderFeatures(Tokenizer):
    """A speech encoder behind the interface of tokenizers: it has features and frames, and no codebook.

    Args:
        encoder: opened with the layers whose features are wanted, side by side.
        name: how messages call it.

    Examples:
        >>> tok = codectok.load("encoder:logmel@layer=0")
        >>> tok.features("a.wav").shape, tok.frame_rate
        (torch.Size([100, 80]), Fraction(100, 1))
    """

    codebook_sizes = ()
    can_decode = False

    def __init__(self, encoder: SpeechEncoder, name: str) -> None:
        self.encoder, self.name = encoder, name
        self.sample_rate, self.frame_rate = encoder.sample_rate, encoder.frame_rate
        self.feature_dim, self.fingerprint = encoder.dim, encoder.fingerprint
        self.device = encoder.device

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

    def choose_codebooks(self, num_codebooks: int | None, bitrate: float | None) -> NoReturn:
        """There are none to choose.

        Raises:
            CodectokError: always.
        """
        raise CodectokError(f"{self.name} has features and no codes: give a tokenizer, such as km:FOLDER")

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> NoReturn:
        self.choose_codebooks(num_codebooks, None)

    def _features(self, clips: list[np.ndarray]) -> list[Tensor]:
        return self.encoder.features_batch(clips)

    def trained(self, rank: int | None) -> TrainedEncoder:
        """The same encoder, opened anew, as a module that is trained: see :class:`TrainedEncoder`."""
        options = {**self.encoder.options(), "device": str(self.encoder.device), "trainable": True}
        return TrainedEncoder(load_encoder(**options), rank)

    def _move(self, device: torch.device) -> None:
        self.encoder.to(device)


def open_features(spec: str, device: str = "cpu") -> EncoderFeatures:
    """``ID@layer=L`` or ``FOLDER@layer=L1,L2``; layer 0 of a baseline such as ``logmel`` where none is given.

    Raises:
        CodectokError: no layer, no such layer, or no such encoder.
    """
    found, layers = parse_features(spec)
    encoder = load_encoder(found, layers[0] if len(layers) == 1 else layers, device)
    return EncoderFeatures(encoder, f"encoder:{spec}")


def parse_features(spec: str) -> tuple[str, Sequence[int]]:
    """Name and layers of ``NAME@layer=L``.

    Raises:
        CodectokError: no name, or no layer that can be read.
    """
    name, at, layers = spec.rpartition("@layer=")
    if not at and spec and registry.known("encoders", spec):
        return spec, [0]
    if not name or not _LAYERS.fullmatch(layers):
        raise CodectokError(f"encoder {spec!r}: write NAME@layer=L, such as facebook/hubert-base-ls960@layer=9")
    return name, [int(one) for one in layers.split(",")]
