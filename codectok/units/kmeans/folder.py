"""Model folders of unit tokenizers, written: which encoder, which streams; BPE and vocoder beside them. Never a pickle.

The encoder is named, not copied: by a hub id, a path, or a path inside the model folder. Its name may be edited in
``config.json`` wherever it lies elsewhere: what counts is its fingerprint, which is checked when the folder is opened.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from codectok import registry
from codectok.errors import CodectokError
from codectok.files.atomic import copy_file
from codectok.files.model_folder import read_config, write_model_folder
from codectok.fingerprint import fingerprint
from codectok.units.encoders.speech_encoder import SpeechEncoder
from codectok.units.kmeans.stream import Stream
from codectok.units.vocoder.folder import save_vocoder

TOKENIZER_TYPE = "kmeans-units"
FORMAT_VERSION = 1
PARTS = ("bpe.json", "vocoder/model.safetensors", "vocoder/config.json")
"""What may lie beside the units, and goes along when they are saved elsewhere."""


class Vocoder(Protocol):
    """What turns units to speech."""

    def decode(self, codes: Tensor, num_samples: int) -> np.ndarray:
        """Codes int64 [K, T] -> float32 [num_samples] at the tokenizer's sample rate."""


class Units(Protocol):
    """What is written of a unit tokenizer."""

    name: str
    fingerprint: str
    encoder: SpeechEncoder
    streams: list[Stream]
    vocoder: Vocoder | None
    folder: Path | None


def save_units(units: Units, folder: str | os.PathLike[str]) -> None:
    """Write a unit tokenizer as a model folder; ``config.json`` last, so that a folder with one is whole.

    Args:
        units: the units.
        folder: made if missing.

    Raises:
        CodectokError: a part of a tokenizer (``first``), or a folder with the BPE or the vocoder of other units.
    """
    if units.fingerprint != units_fingerprint(units.encoder.fingerprint, units.streams):
        raise CodectokError(f"{units.name} here is only a part of the tokenizer: save the whole")
    target = Path(folder)
    _refuse_foreign_parts(units, target)
    target.mkdir(parents=True, exist_ok=True)
    options = units.encoder.options()
    config = {
        "tokenizer_type": TOKENIZER_TYPE,
        "format_version": FORMAT_VERSION,
        "encoder": {
            **options,
            "name": _stored_name(str(options["name"]), target),
            "fingerprint": units.encoder.fingerprint,
        },
        "streams": [s.config() for s in units.streams],
        "fingerprint": units.fingerprint,
    }
    _save_parts(units, target)
    write_model_folder(target, config, named_tensors(units.streams))


def units_fingerprint(encoder_fingerprint: str, streams: Sequence[Stream]) -> str:
    """Hash of the encoder's fingerprint and the streams; where the encoder lies does not count."""
    config = {
        "tokenizer_type": TOKENIZER_TYPE,
        "format_version": FORMAT_VERSION,
        "encoder": encoder_fingerprint,
        "streams": [s.config() for s in streams],
    }
    return fingerprint(config, named_tensors(streams))


def named_tensors(streams: Sequence[Stream]) -> dict[str, Tensor]:
    """The tensors of all streams as the model folder names them: ``streams.0.centroids.0``, ..."""
    return {f"streams.{i}.{name}": t for i, s in enumerate(streams) for name, t in s.tensors().items()}


def _save_parts(units: Units, target: Path) -> None:
    source = units.folder
    if source is not None and source.resolve() != target.resolve():
        for part in PARTS:
            if (source / part).is_file():
                copy_file(source / part, target / part)
    if source is None and units.vocoder is not None:
        save_vocoder(units.vocoder, target / "vocoder")  # type: ignore[arg-type]


def _refuse_foreign_parts(units: Units, target: Path) -> None:
    found = [part for part in PARTS if (target / part).exists()]
    if found and read_config(target).get("fingerprint") != units.fingerprint:
        raise CodectokError(f"{target} has the {found[0]} of other units: remove it, or give another folder")


def _stored_name(name: str, folder: Path) -> str:
    """Inverse of :func:`_resolved_name`: relative inside the model folder, so that they can be moved together."""
    local = Path(name).expanduser()
    if registry.known("encoders", name) or not local.is_dir():
        return name
    whole, inside = local.resolve(), folder.resolve()
    return f"./{whole.relative_to(inside)}" if whole.is_relative_to(inside) else str(whole)
