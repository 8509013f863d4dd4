"""Vocoder folders: ``config.json`` beside ``model.safetensors``, on their own or in a unit tokenizer's folder."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from safetensors.torch import save

from codectok.errors import FormatError
from codectok.files.atomic import atomic_path
from codectok.units.vocoder.unit_vocoder import UnitVocoder, VocoderConfig

FORMAT_VERSION = 1
KIND = "harmonic-units"


def save_vocoder(vocoder: UnitVocoder, folder: str | os.PathLike[str], dtype: Any = None) -> None:
    """Write a vocoder; ``dtype`` is the torch dtype to store weights in, None keeps them."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    config = {"vocoder_type": KIND, "format_version": FORMAT_VERSION, **asdict(vocoder.config)}
    tensors = {n: t.to(dtype or t.dtype).contiguous().clone() for n, t in vocoder.state_dict().items()}
    with atomic_path(target / "model.safetensors") as temporary:
        temporary.write_bytes(save(tensors, metadata={"format": "pt"}))
    with atomic_path(target / "config.json") as temporary:
        temporary.write_text(json.dumps(config, indent=2) + "\n")


def open_vocoder(
    folder: str | os.PathLike[str], codebook_sizes: Sequence[int] | None = None, sample_rate: int | None = None
) -> UnitVocoder:
    """Open what :func:`save_vocoder` wrote, in float32, ready to run on the CPU.

    Args:
        folder: of the vocoder.
        codebook_sizes: of the tokenizer it is to be used with; None to take it as it is.
        sample_rate: that its audio must have.

    Raises:
        FormatError: not a vocoder, damaged, or made for other units.
    """
    from codectok.files.bounds import built_from, config_of
    from codectok.files.model_folder import read_config, read_weights

    path = Path(folder)
    config = read_config(path)
    if config.get("vocoder_type") != KIND or config.get("format_version") != FORMAT_VERSION:
        raise FormatError(
            f"{path} is not a unit vocoder of format_version {FORMAT_VERSION}: train one, or update", path=path
        )
    known = {f.name for f in fields(VocoderConfig)}
    values = {k: v for k, v in config.items() if k in known}
    tensors = read_weights(path)
    with built_from(tensors, values, path):
        vocoder = UnitVocoder(config_of(VocoderConfig, values, path))
        vocoder.load_state_dict(tensors)
    if codebook_sizes is not None and list(codebook_sizes) != vocoder.config.codebook_sizes:
        sizes = vocoder.config.codebook_sizes
        raise FormatError(
            f"{path} is for units of sizes {sizes}, not {list(codebook_sizes)}: train one for these", path=path
        )
    if sample_rate not in (None, vocoder.codec.sample_rate):
        raise FormatError(f"{path} gives {vocoder.codec.sample_rate} Hz, the tokenizer has {sample_rate} Hz", path=path)
    return vocoder.float().eval()
