"""Reading a model from a Hugging Face folder or hub id: as far up as it is used, and no further."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from codectok.errors import CodectokError, FormatError
from codectok.files.bounds import bounded, check_sizes
from codectok.files.model_folder import read_config as read_json
from codectok.units.encoders.speech_encoder import SAMPLE_RATE

MASKED_CONV = ("hubert", "wavlm", "wav2vec2", "unispeech", "unispeech-sat")
"""Convolutional families whose transformers stay blind to padding."""
PATCHES = "audio-spectrogram-transformer"


@dataclass
class Pretrained:
    """A model in float32, cut behind the highest layer that is used."""

    model: Any
    config: Any
    extractor: Any
    blocks: nn.ModuleList


def read_config(name: str) -> tuple[Any, int]:
    """A model's config and its number of blocks.

    Raises:
        FormatError: no such model.
    """
    from transformers import AutoConfig

    local = os.path.isdir(name)
    with _readable(name):
        if local:
            _check_descriptions(Path(name))
        config = AutoConfig.from_pretrained(name, trust_remote_code=False, local_files_only=local)
        return config, int(config.encoder_layers if config.model_type == "whisper" else config.num_hidden_layers)


def _check_descriptions(folder: Path) -> None:
    """Of a folder, before anything is built of them: the hub's are those of a model that somebody chose by name."""
    for name in ("config.json", "preprocessor_config.json"):
        if (folder / name).is_file():
            check_sizes(read_json(folder, name), folder)


def _weights_of(folder: Path) -> tuple[int, int]:
    """The most numbers, and tensors, that the weights in a folder can hold; the header of each file is read alone."""
    from safetensors import safe_open

    size = tensors = 0
    for path in folder.glob("*.safetensors"):
        size += path.stat().st_size
        with safe_open(path, "pt") as file:
            tensors += len(file.keys())
    return size, tensors


def read_model(name: str, config: Any, highest: int, final_norm: bool) -> Pretrained:
    """The model with ``highest`` blocks. Tensors of higher ones, of a decoder or of heads are not read.

    Args:
        name: folder or hub id.
        config: from :func:`read_config`; it is changed.
        highest: blocks to keep.
        final_norm: whether the norm behind the last block is kept.

    Raises:
        FormatError: missing weights, or another sample rate than 16 kHz.
    """
    from transformers import AutoFeatureExtractor, AutoModel

    kind = config.model_type
    local = os.path.isdir(name)
    keys: dict[str, Any] = {"trust_remote_code": False, "local_files_only": local}
    maker: Any = AutoModel
    with _readable(name), _quiet(), _bounded(name):
        if kind == "whisper":
            from transformers.models.whisper.modeling_whisper import WhisperEncoder

            maker, config.encoder_layers = WhisperEncoder, highest
            keys |= {"key_mapping": {r"^(model\.)?encoder\.": ""}}
        else:
            config.num_hidden_layers = highest
            # What stands behind the transformer in checkpoints that were made for other tasks.
            config.add_adapter = config.use_intermediate_ffn_before_adapter = False
        extractor = AutoFeatureExtractor.from_pretrained(name, trust_remote_code=False, local_files_only=local)
        # The stored dtype is always widened, so that the fingerprint is that of the values.
        model, info = maker.from_pretrained(
            name, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **keys
        )
    # The embedding of masked frames is used in training only, and missing from some checkpoints.
    missing = sorted(k for k in info["missing_keys"] if "masked_spec_embed" not in k)
    if missing or info["mismatched_keys"]:
        raise FormatError(f"{name} lacks weights ({', '.join(missing[:3]) or 'shapes differ'}): download it again")
    if any("masked_spec_embed" in k for k in info["missing_keys"]):
        model.masked_spec_embed.data.zero_()  # it was drawn at random
    if extractor.sampling_rate != SAMPLE_RATE:
        raise FormatError(f"{name} was trained at {extractor.sampling_rate} Hz: choose an encoder for {SAMPLE_RATE} Hz")
    for behind in ("adapter", "intermediate_ffn"):
        if hasattr(model, behind):
            setattr(model, behind, None)
    stack = model.encoder if hasattr(model, "encoder") else model
    if not final_norm and has_final_norm(config):
        setattr(stack, "layernorm" if kind == PATCHES else "layer_norm", nn.Identity())
    return Pretrained(model, config, extractor, stack.layers if hasattr(stack, "layers") else stack.layer)


def has_final_norm(config: Any) -> bool:
    """Whether a norm follows the last block."""
    always = config.model_type in ("whisper", PATCHES, "wav2vec2-conformer")
    return always or getattr(config, "do_stable_layer_norm", False)


def fold_weight_norm(model: nn.Module) -> None:
    """Weights in place of their weight norms, which would be computed anew in every call."""
    remove: Callable[..., Any]
    for module in list(model.modules()):
        if torch.nn.utils.parametrize.is_parametrized(module, "weight"):
            torch.nn.utils.parametrize.remove_parametrizations(module, "weight")
        elif hasattr(module, "weight_g"):
            remove = torch.nn.utils.remove_weight_norm
            remove(module)


def quantize_linear(model: nn.Module) -> nn.Module:
    """Linear layers in int8 by torch's dynamic quantization, except where a model reads their weights itself."""
    from torch.ao.quantization import default_dynamic_qconfig, quantize_dynamic

    # WavLM's attention hands its projections' weights to a function that knows no int8.
    chosen = {
        name: default_dynamic_qconfig
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and not type(model.get_submodule(name.rpartition(".")[0])).__name__.startswith("WavLMAttention")
    }
    return quantize_dynamic(model, chosen, dtype=torch.qint8, inplace=True)


@contextlib.contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except (CodectokError, ImportError):
        raise
    except Exception as error:  # transformers checks configs as it uses them, each value in its own way
        reason = next(iter(str(error).splitlines()), "")[:200] or type(error).__name__
        raise FormatError(f"{name} is no readable model folder or hub id: {reason}") from None


@contextlib.contextmanager
def _bounded(name: str) -> Iterator[None]:
    """Within, a local folder's config asks for no more than its weights hold."""
    with contextlib.ExitStack() as stack:
        if os.path.isdir(name):
            stack.enter_context(bounded(*_weights_of(Path(name)), Path(name)))
        yield


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
