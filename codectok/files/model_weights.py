"""Weights of Hugging Face model folders, in one file or in shards. Never a pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from codectok.errors import FormatError
from codectok.files.inside import safe_name
from codectok.files.model_folder import read_tensors

if TYPE_CHECKING:
    from torch import Tensor


def read_model_weights(folder: Path) -> dict[str, Tensor]:
    """``model.safetensors``, or the shards that ``model.safetensors.index.json`` names.

    Raises:
        FormatError: none there, only a pickle, damaged, or no finite floating-point numbers.
    """
    index = folder / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if index.is_file() and not (folder / names[0]).is_file():
        names = _shards(index)
    weights: dict[str, Tensor] = {}
    for name in names:
        path = folder / name
        if not path.is_file():
            if (folder / "pytorch_model.bin").is_file():
                raise FormatError(
                    f"{folder} has only pytorch_model.bin, a pickle, which is never read: "
                    "load it with transformers and save_pretrained it, which writes model.safetensors",
                    path=folder,
                )
            raise FormatError(f"{folder} has no {name}", path=folder)
        weights |= read_tensors(path)
    return weights


def _shards(index: Path) -> list[str]:
    """The files that an index names, beside it."""
    try:
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        return [safe_name(name, index) for name in names]
    except FormatError:
        raise
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise FormatError(f"{index} is damaged ({error}): get the model again", path=index) from None
