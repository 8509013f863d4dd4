"""Model folders: ``config.json`` beside ``model.safetensors``, ours or Hugging Face's. Never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codectok.errors import FormatError
from codectok.files.atomic import atomic_path

if TYPE_CHECKING:
    from torch import Tensor


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a model folder.

    Raises:
        FormatError: none there, or not JSON.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise FormatError(f"{folder} is not a model folder: it has no config.json", path=folder)
    try:
        config = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is not valid JSON: {error}", path=path) from None
    if not isinstance(config, dict):
        raise FormatError(f"{path} does not hold a JSON object", path=path)
    return config


def read_weights(folder: Path) -> dict[str, Tensor]:
    """``model.safetensors`` of a model folder.

    Raises:
        FormatError: none there, or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / "model.safetensors"
    if not path.is_file():
        raise FormatError(
            f"{folder} has no model.safetensors; convert other weight files to safetensors first", path=folder
        )
    try:
        return load_file(path)
    except SafetensorError as error:
        raise FormatError(f"{path} is damaged: {error}", path=path) from None


def write_model_folder(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write both, made if missing; ``config.json`` last, so that a folder with one is whole."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "model.safetensors") as temporary:
        temporary.write_bytes(save(dict(tensors), metadata={"format": "pt"}))
    with atomic_path(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(config, indent=2) + "\n")
