"""Model folders: ``config.json`` beside ``model.safetensors``, ours or Hugging Face's. Never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codectok.errors import FormatError
from codectok.files.atomic import atomic_path
from codectok.files.bounds import check_weights

if TYPE_CHECKING:
    from torch import Tensor

MAX_CONFIG_BYTES = 1 << 24
"""Of a ``config.json``; the longest that is published has some hundred KB."""


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """``config.json`` of a model folder, or another of its descriptions.

    Raises:
        FormatError: none there, or not JSON.
    """
    path = folder / name
    if not path.is_file():
        raise FormatError(f"{folder} is not a model folder: it has no {name}", path=folder)
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise FormatError(f"{path} is too large to be a config: more than {MAX_CONFIG_BYTES >> 20} MiB", path=path)
        config = json.loads(path.read_text(encoding="utf-8"))
    except FormatError:
        raise
    except (OSError, ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError too
        raise FormatError(f"{path} is not valid JSON: {error}", path=path) from None
    if not isinstance(config, dict):
        raise FormatError(f"{path} does not hold a JSON object", path=path)
    return config


def read_weights(folder: Path) -> dict[str, Tensor]:
    """``model.safetensors`` of a model folder.

    Raises:
        FormatError: none there, or damaged, or values that are no finite floating-point numbers.
    """
    path = folder / "model.safetensors"
    if not path.is_file():
        raise FormatError(
            f"{folder} has no model.safetensors; convert other weight files to safetensors first", path=folder
        )
    return read_tensors(path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The weights in one safetensors file.

    Raises:
        FormatError: damaged, or values that are no finite floating-point numbers.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise FormatError(f"{path} is damaged: {error}", path=path) from None
    check_weights(tensors, path)
    return tensors


def write_model_folder(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write both, made if missing; ``config.json`` last, so that a folder with one is whole."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "model.safetensors") as temporary:
        temporary.write_bytes(save(dict(tensors), metadata={"format": "pt"}))
    with atomic_path(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(config, indent=2) + "\n")
