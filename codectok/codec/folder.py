"""Model folders of codecs: ``config.json`` beside ``model.safetensors``, ours or Hugging Face's. Never a pickle."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from codectok.atomic import atomic_path
from codectok.codec.base import CodecModel
from codectok.codec.tokenizer import CodecTokenizer
from codectok.errors import FormatError
from codectok.fingerprint import fingerprint

FORMAT_VERSION = 1


def codec_classes() -> dict[str, tuple[type[CodecModel], type]]:
    """Codec and config class of every ``codec_type`` that a model folder may name."""
    from codectok.codec.dac import DacCodec, DacCodecConfig
    from codectok.codec.encodec import EncodecCodec, EncodecCodecConfig
    from codectok.codec.harmonic import HarmonicCodec, HarmonicCodecConfig
    from codectok.codec.mimi import MimiCodec, MimiCodecConfig
    from codectok.units.student import UnitCodec, UnitCodecConfig

    return {
        "harmonic-codec": (HarmonicCodec, HarmonicCodecConfig),
        "encodec-codec": (EncodecCodec, EncodecCodecConfig),
        "mimi-codec": (MimiCodec, MimiCodecConfig),
        "dac-codec": (DacCodec, DacCodecConfig),
        "unit-codec": (UnitCodec, UnitCodecConfig),
    }


def save_codec(model: CodecModel, folder: str | os.PathLike[str], dtype: Any = None) -> None:
    """Write a codec as a model folder.

    Args:
        model: one of this package's codecs.
        folder: created if missing.
        dtype: torch dtype to store floating-point weights in; None keeps them.
    """
    names = {kind: name for name, (kind, _) in codec_classes().items()}
    if type(model) not in names:
        raise FormatError(f"{type(model).__name__} is not a codec that codectok can save")
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    config = {"codec_type": names[type(model)], "format_version": FORMAT_VERSION, **asdict(model.config)}  # type: ignore[call-overload]
    tensors = {
        name: (t.to(dtype) if dtype is not None and t.is_floating_point() else t).contiguous().clone()
        for name, t in model.state_dict().items()
        if name.partition(".")[0] not in model.apart
    }
    model.save_parts(target, dtype)
    with atomic_path(target / "model.safetensors") as temporary:
        temporary.write_bytes(save(tensors, metadata={"format": "pt"}))
    with atomic_path(target / "config.json") as temporary:
        temporary.write_text(json.dumps(config, indent=2) + "\n")


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a model folder.

    Raises:
        FormatError: none there, or not JSON.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise FormatError(f"{folder} is not a model folder: it has no config.json")
    try:
        config = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise FormatError(f"{path} does not hold a JSON object")
    return config


def read_weights(folder: Path) -> dict[str, Tensor]:
    """``model.safetensors`` of a model folder.

    Raises:
        FormatError: none there, or damaged.
    """
    path = folder / "model.safetensors"
    if not path.is_file():
        raise FormatError(f"{folder} has no model.safetensors; convert other weight files to safetensors first")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise FormatError(f"{path} is damaged: {error}") from None


def open_codec(folder: Path, name: str, device: str = "cpu") -> CodecTokenizer:
    """Open a model folder written by :func:`save_codec`.

    Raises:
        FormatError: unknown type or version, or weights that do not fit the config.
    """
    config = read_config(folder)
    codec_type = config.get("codec_type")
    kinds = codec_classes()
    if codec_type not in kinds:
        raise FormatError(f"{folder / 'config.json'} has codec_type {codec_type!r}, known are {', '.join(kinds)}")
    if config.get("format_version") != FORMAT_VERSION:
        version = config.get("format_version")
        raise FormatError(f"{folder} has format_version {version}: this codectok reads {FORMAT_VERSION}")
    model_class, config_class = kinds[codec_type]
    known = {f.name for f in fields(config_class)}
    values = {k: v for k, v in config.items() if k not in ("codec_type", "format_version")}
    if set(values) - known:
        raise FormatError(f"{folder / 'config.json'} has unknown key {sorted(set(values) - known)[0]!r}")
    tensors = read_weights(folder)
    try:
        model = model_class(config_class(**values))
        model.load_state_dict(tensors)
    except (RuntimeError, TypeError) as error:
        raise FormatError(f"{folder}: weights and config do not fit: {str(error).splitlines()[0]}") from None
    model.open_parts(folder)
    tokenizer = CodecTokenizer(model.float(), name, fingerprint(config, tensors), device=device)
    tokenizer.folder = folder
    return tokenizer
