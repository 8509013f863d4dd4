"""Unit tokenizers over the tiny encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from codectok.units import load_encoder
from codectok.units.kmeans.tokenizer import UnitTokenizer
from tests.contract.subjects import unit_streams


def made(folder: Path, layers: tuple[int, ...] = (1, 3), **options: Any) -> UnitTokenizer:
    """Residual units of the first layer and two groups of the last, of the encoder in a folder."""
    if folder.name == "whisper":
        options.setdefault("tail_seconds", 0.1)
    encoder = load_encoder(folder, list(layers), **options)
    return UnitTokenizer(encoder, unit_streams(encoder), "made")
