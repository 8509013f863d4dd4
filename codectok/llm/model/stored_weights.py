"""The weights of a model folder, looked at without opening the model: names, shapes, single tensors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from codectok.errors import FormatError


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where each tensor of a folder's safetensors lies, and its shape."""

    files: dict[str, Path]
    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, folder: Path) -> Checkpoint:
        """Read the headers.

        Raises:
            FormatError: no safetensors, or a damaged file.
        """
        from safetensors import SafetensorError, safe_open

        index = folder / "model.safetensors.index.json"
        files, shapes = {}, {}
        try:
            names = {"model.safetensors"}
            if index.is_file():
                names = set(json.loads(index.read_text())["weight_map"].values())
            for name in sorted(names):
                with safe_open(folder / name, "pt") as opened:
                    for key in opened.keys():  # noqa: SIM118 (not a dict)
                        files[key], shapes[key] = folder / name, tuple(opened.get_slice(key).get_shape())
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise FormatError(
                f"cannot read the safetensors of {folder} ({str(error).splitlines()[0]})", path=folder
            ) from None
        return cls(files, shapes)

    def find(self, name: str) -> str | None:
        """The key of a model's tensor, whose prefix the file may lack ("wte.weight" for "transformer.wte.weight")."""
        fits = [key for key in self.files if key == name or name.endswith("." + key)]
        return min(fits, key=lambda key: abs(len(key) - len(name)), default=None)

    def read(self, key: str) -> Tensor:
        """One tensor."""
        from safetensors import safe_open

        with safe_open(self.files[key], "pt") as opened:
            return opened.get_tensor(key)


def empty_model(folder: Path) -> Any:
    """The model of a folder's configuration, without weights or memory.

    Raises:
        FormatError: a configuration that transformers does not know.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        text = config.get_text_config()
        pad, text.pad_token_id = text.pad_token_id, None  # a wrong one would keep the model from being made
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        model.config.get_text_config().pad_token_id = pad
        return model
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FormatError(f"no causal language model of transformers ({reason})") from None


def tensor_name(model: Any, module: Any) -> str:
    """Name of a module's weight in the model."""
    return next(f"{name}.weight" for name, found in model.named_modules() if found is module)
