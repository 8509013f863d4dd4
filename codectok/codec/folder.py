"""Model folders of codecs: their config and weights, written from a model; :mod:`codectok.codec.opening` opens them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from codectok import registry
from codectok.codec.beam import GREEDY
from codectok.codec.model import CodecModel
from codectok.errors import FormatError
from codectok.files.model_folder import write_model_folder

FORMAT_VERSION = 1


def codec_class(codec_type: object, where: object) -> type[CodecModel]:
    """The class of a ``codec_type``, a name of the kind ``codecs``; ``where`` it stands, for errors.

    Raises:
        FormatError: there is none.
    """
    if not registry.known("codecs", str(codec_type)):
        known = ", ".join(registry.names("codecs"))
        raise FormatError(f"{where} has codec_type {codec_type!r}, known are {known}")
    found: type[CodecModel] = registry.find("codecs", str(codec_type))
    return found


def codec_config(model: CodecModel) -> dict[str, Any]:
    """What ``config.json`` of a model says: its type, the version of the format, and the fields of its config.

    A field that was added later (``metadata={"added": True}``) is left out where it has its default: models from before
    keep their fingerprints.

    Raises:
        UnknownNameError: no name of the kind ``codecs`` opens a model of this class.
    """
    kind = registry.name_of("codecs", type(model))
    values = asdict(model.config)
    if values.get("search") == GREEDY:
        del values["search"]  # as it was written before there was a choice: the fingerprint of such a folder holds
    for f in fields(model.config):
        if f.metadata.get("added") and values[f.name] == f.default:
            del values[f.name]
    return {"codec_type": kind, "format_version": FORMAT_VERSION, **values}


def save_codec(
    model: CodecModel,
    folder: str | os.PathLike[str],
    dtype: Any = None,
    stored: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a codec as a model folder.

    Args:
        model: of a class that has a name of the kind ``codecs``.
        folder: created if missing.
        dtype: torch dtype to store floating-point weights in; None keeps them.
        stored: tensors that the model was opened from. Those that its weights still equal are written as they were, in
            a smaller type perhaps: the fingerprint is of the tensors as stored.
    """
    target = Path(folder)
    config = codec_config(model)
    tensors = {
        name: (t.to(dtype) if dtype is not None and t.is_floating_point() else t).contiguous().clone()
        for name, t in model.state_dict().items()
        if name.partition(".")[0] not in model.apart
    }
    tensors |= {name: t for name, t in (stored or {}).items() if name in tensors and _equal(t, tensors[name])}
    target.mkdir(parents=True, exist_ok=True)
    model.save_parts(target, dtype)
    write_model_folder(target, config, tensors)


def _equal(stored: Tensor, weight: Tensor) -> bool:
    return stored.shape == weight.shape and bool((stored.to(weight.dtype) == weight.cpu()).all())
