"""EnCodec and Mimi from Hugging Face model folders: the published weights in our own classes. Never a pickle."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from codectok.codec.encodec import EncodecCodec, EncodecCodecConfig
from codectok.codec.folder import codec_config
from codectok.codec.hf_names import REMEDY, Weights, encodec_config, encodec_weights, mimi_config, mimi_weights
from codectok.codec.mimi import MimiCodec
from codectok.codec.tokenizer import CodecTokenizer
from codectok.errors import FormatError
from codectok.files.bounds import built_from
from codectok.files.model_folder import read_config
from codectok.files.model_weights import read_model_weights
from codectok.fingerprint import fingerprint, two_fingerprints

DIRECTION = re.compile(r"\.(weight_v|parametrizations\.weight\.original1)$")
OWN = ("encodec", "mimi")
"""``model_type`` of what our own classes run."""
GAIN = re.compile(r"\.(weight_g|parametrizations\.weight\.original0)$")


def load_hf_codec(folder: Path) -> EncodecCodec | MimiCodec:
    """Read a Hugging Face folder of EnCodec or Mimi.

    Args:
        folder: has ``config.json`` with ``model_type`` "encodec" or "mimi", and ``model.safetensors`` (or its shards).

    Raises:
        FormatError: another model type, an option that our classes do not have, or weights missing or only pickled.
    """
    config = read_config(folder)
    model: EncodecCodec | MimiCodec
    kind = config.get("model_type")
    if kind not in OWN:
        raise FormatError(
            f"{folder}: model_type {kind!r} is not built in (encodec, mimi are): {REMEDY}",
            path=folder,
            key="model_type",
            given=kind,
            allowed="encodec, mimi",
        )
    with built_from({}, config, folder):
        own = encodec_config(config) if kind == "encodec" else mimi_config(config)
    weights = fold_weight_norm(read_model_weights(folder))
    with built_from(weights, config, folder):
        try:
            if isinstance(own, EncodecCodecConfig):
                model = EncodecCodec(own)
                state = encodec_weights(model, weights)
            else:
                model = MimiCodec(own)
                state = mimi_weights(model, weights)
        except KeyError as error:
            raise FormatError(
                f"{folder}: the weights lack {error}, which its config.json calls for", path=folder
            ) from None
        model.load_state_dict(state)
    return model.eval()


def open_hf_codec(folder: Path, name: str, device: str = "cpu") -> CodecTokenizer:
    """A Hugging Face folder of EnCodec or Mimi; its fingerprint is that of the same model saved in our own format."""
    model = load_hf_codec(folder)
    config, tensors = codec_config(model), model.state_dict()
    codes, decoder = two_fingerprints(config, tensors, model.decoder_keys, model.decoder_parts)
    tokenizer = CodecTokenizer(
        model,
        name,
        codes,
        decoder_fingerprint=decoder,
        former=lambda: fingerprint(config, model.state_dict()),
        device=device,
    )
    tokenizer.folder = folder
    return tokenizer


def fold_weight_norm(weights: Weights) -> Weights:
    """Replace the two factors of each weight norm, in either of torch's spellings, by their product in float32."""
    folded = {}
    for name, tensor in weights.items():
        if DIRECTION.search(name):
            stem = DIRECTION.sub("", name)
            gain = weights.get(f"{stem}.weight_g", weights.get(f"{stem}.parametrizations.weight.original0"))
            if gain is None:
                raise FormatError(f"the weights have {name} without the gain that belongs to it")
            folded[f"{stem}.weight"] = (tensor.double() * (gain.double() / _norms(tensor))).float()
        elif not GAIN.search(name):
            folded[name] = tensor.float()
    return folded


def _norms(weight: Tensor) -> Tensor:
    """Norm of each slice of the first dimension, [N, 1, ...] in float64.

    Summed by halving, with additions of whole tensors only: their result is the same on every CPU, which that of a
    reduction is not, and the fingerprint hashes the folded weights.
    """
    squares = weight.double().square().flatten(1)
    while squares.shape[1] > 1:
        if squares.shape[1] % 2:
            squares = torch.cat([squares, squares.new_zeros(len(squares), 1)], 1)
        half = squares.shape[1] // 2
        squares = squares[:, :half] + squares[:, half:]
    return squares.sqrt().view(-1, *[1] * (weight.dim() - 1))
