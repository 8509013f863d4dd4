"""Opening ``hf:ID_OR_FOLDER``: a model folder, or one fetched from the hub, in transformers' own class."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codectok.codec.adapter.family import Family
from codectok.codec.adapter.table import family_class
from codectok.codec.adapter.tokenizer import TransformersTokenizer, window_sizes
from codectok.errors import CodectokError, FormatError, MissingPackageError
from codectok.extras import need
from codectok.files.bounds import built_from
from codectok.files.model_folder import read_config
from codectok.files.model_weights import read_model_weights
from codectok.fingerprint import two_fingerprints
from codectok.opening import fetch

UNTIMELY = ("_name_or_path", "architectures", "auto_map", "dtype", "torch_dtype", "transformers_version")
"""Keys of transformers' configs that say nothing of the codes."""
DRAWN = ("masked_spec_embed",)
"""Weights that are used in training alone, and missing from some checkpoints."""


def open_hf(name: str, device: str = "cpu") -> TransformersTokenizer:
    """What stands behind ``hf:``: a folder with ``config.json`` and safetensors, or a hub id.

    Raises:
        FormatError: no audio tokenizer of transformers, one that is continuous, or weights that do not fit.
        UnknownTokenizerError: no such folder, and not to be had from the hub.
    """
    need("hf: needs", "units", "transformers")
    folder = Path(name) if name and Path(name).is_dir() else fetch(name, f"hf:{name}")
    return open_adapted(folder, f"hf:{name}", device)


def open_adapted(folder: Path, name: str, device: str = "cpu") -> TransformersTokenizer:
    """The model in a folder. No code of the folder is run, no pickle read, and the hub not asked."""
    need(f"{name} needs", "units", "transformers")
    given = read_config(folder)
    kind = family_class(given.get("model_type"), folder)
    weights = read_model_weights(folder)
    with built_from(weights, given, folder), _readable(folder), _quiet():
        model_class = class_of(kind)
        config = model_class.config_class.from_dict(given)
        kind(config)
        model, report = model_class.from_pretrained(
            None, config=config, state_dict=weights, dtype="float32", output_loading_info=True
        )
    missing = [k for k in sorted(report["missing_keys"]) if not k.endswith(DRAWN)]
    if missing or report["mismatched_keys"]:
        what = f"lack {missing[0]}" if missing else "have other shapes than its config.json calls for"
        raise FormatError(f"{folder}: the weights {what}: get the model again", path=folder)
    family = kind(model.requires_grad_(requires_grad=False).eval().config, model)
    with _readable(folder):
        _try(family)
    codes, decoder = fingerprints(family)
    tokenizer = TransformersTokenizer(family, name, codes, decoder, device)
    tokenizer.folder = folder
    return tokenizer


def _try(family: Family) -> None:
    """Raise on a config whose parts do not fit each other, which transformers finds when it runs them."""
    import torch

    with torch.inference_mode():
        latents = family.latents(torch.zeros(4 * family.hop))
        frames = family.num_frames(4 * family.hop)
        codes = family.quantize(latents, 1)
        vectors = family.dequantize(codes.long())
        if codes.shape != (1, frames) or vectors.shape != (frames, family.feature_dim):
            raise FormatError(f"4 hops gave {list(codes.shape)} codes of {vectors.shape[-1]} numbers")
        if family.can_decode:
            family.synthesize(vectors)


def class_of(kind: type[Family]) -> Any:
    """The class in transformers.

    Raises:
        MissingPackageError: the installed transformers is older than the family.
    """
    import transformers

    found = getattr(transformers, kind.model_class, None)
    if getattr(found, "is_dummy", False):  # it stands for a class whose module needs another package
        try:
            found = getattr(importlib.import_module(found.__module__), kind.model_class)
        except ImportError as error:
            need(f"{kind.model_class} of transformers needs", str(error.name), str(error.name))
            raise
    if found is None:
        raise MissingPackageError(
            f"transformers {transformers.__version__} has no {kind.model_class}: pip install -U transformers",
            package="transformers",
            extra="units",
        )
    return found


def fingerprints(family: Family) -> tuple[str, str]:
    """Of codes and decoder: the config as far as it differs from the class's defaults, the windows, the weights."""
    config = _timeless(family.config.to_diff_dict())
    config |= {"windows": list(window_sizes(family)), "padding": family.padding}
    tensors = {n: t for n, t in family.model.state_dict().items() if not n.endswith(DRAWN)}
    return two_fingerprints(config, tensors, (), family.decoder_parts)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in UNTIMELY}
    return [_timeless(v) for v in value] if isinstance(value, list | tuple) else value


@contextlib.contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Within, what transformers finds wrong is one error: it checks each value of a config in its own way."""
    try:
        yield
    except (CodectokError, ImportError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FormatError(f"{folder}: weights and config do not fit: {reason}", path=folder) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' own progress bar and report."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
