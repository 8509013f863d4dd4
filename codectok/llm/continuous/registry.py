"""Projectors by name, and their folders: ``config.json``, flat, beside ``model.safetensors``."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import save

from codectok import registry
from codectok.errors import CodectokError, FormatError
from codectok.files.atomic import atomic_path
from codectok.files.bounds import built_from
from codectok.files.model_folder import read_config, read_weights
from codectok.llm.continuous.projector import Projector
from codectok.settings.build import build_from

FORMAT_VERSION = 1
PROJECTORS: registry.Table[type[Projector]] = registry.Table("projectors")


def build_projector(name: str, in_dim: int, out_dim: int, **options: Any) -> Projector:
    """A projector with fresh weights.

    Args:
        name: of the kind ``projectors``.
        in_dim: D of the audio's features.
        out_dim: width of the language model.
        options: of the projector's config; see its class.

    Raises:
        CodectokError: an unknown name or option, or a value that is not possible.
    """
    kind = PROJECTORS[name]
    for label, width in (("in_dim", in_dim), ("out_dim", out_dim)):
        if not isinstance(width, int) or width < 1:
            raise CodectokError(f"{label} is {width!r}: give a whole number, 1 or more")
    return kind(in_dim, out_dim, build_from(kind.Config, options, f"projector {name}"))


def save_projector(projector: Projector, folder: str | os.PathLike[str]) -> None:
    """Write the projector alone, without the language model.

    Raises:
        UnknownNameError: a class that no name of the kind ``projectors`` opens.
    """
    name = registry.name_of("projectors", type(projector))
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    widths = {"in_dim": projector.in_dim, "out_dim": projector.out_dim}
    config = {"projector_type": name, "format_version": FORMAT_VERSION, **widths}
    tensors = {name: t.detach().cpu().contiguous() for name, t in projector.state_dict().items()}
    with atomic_path(target / "model.safetensors") as temporary:
        temporary.write_bytes(save(tensors, metadata={"format": "pt"}))
    with atomic_path(target / "config.json") as temporary:
        temporary.write_text(json.dumps(config | asdict(projector.config), indent=2) + "\n")


def load_projector(folder: str | os.PathLike[str]) -> Projector:
    """Open what :func:`save_projector` wrote, in evaluation mode and the type it was stored in.

    Raises:
        FormatError: no such folder, another version, or weights that do not fit the config.
    """
    source = Path(folder)
    try:
        config = read_config(source)
        name, version = config.pop("projector_type"), config.pop("format_version")
        if version != FORMAT_VERSION:
            raise FormatError(f"{source} is of format {version}, this version reads {FORMAT_VERSION}", path=source)
        tensors = read_weights(source)
        with built_from(tensors, config, source):
            projector = build_projector(name, config.pop("in_dim"), config.pop("out_dim"), **config)
            projector.load_state_dict(tensors, assign=True)
    except FormatError:
        raise
    except (OSError, KeyError, AttributeError, TypeError, RuntimeError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise FormatError(f"{source} is no projector that can be opened ({reason})", path=source) from None
    return projector.requires_grad_(True).eval()
