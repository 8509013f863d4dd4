"""Folders of peft that hold low-rank updates of a base model (LoRA, Hu et al., 2021), opened as one model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from codectok.errors import FormatError
from codectok.extras import need
from codectok.llm.model.folder import open_model

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def open_whole(name: str | os.PathLike[str]) -> Any:
    """The causal language model of a folder or hub id; of a folder with an adapter, its base with the updates added.

    Raises:
        FormatError: no model, or an adapter without its base's name or with pickled weights.
    """
    config = Path(name) / CONFIG
    if not config.is_file():
        return open_model(name)
    need("a folder with an adapter needs", "llm", "peft")
    from peft import PeftModel

    try:
        base = json.loads(config.read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{config} names no base model: give the folder as peft saved it", path=config) from error
    if not isinstance(base, str) or not base:
        raise FormatError(f"{config} names no base model: write it as base_model_name_or_path", path=config)
    if not (Path(name) / WEIGHTS).is_file():
        raise FormatError(f"{name} has no {WEIGHTS}: pickled adapters are never opened, save it again", path=name)
    wrapped: Any = PeftModel.from_pretrained(open_model(base), os.fspath(name))
    return wrapped.merge_and_unload().eval()
