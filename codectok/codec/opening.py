"""Opening model folders of codecs as tokenizers."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from codectok.codec.folder import FORMAT_VERSION, codec_class
from codectok.codec.tokenizer import CodecTokenizer
from codectok.errors import FormatError
from codectok.files.bounds import built_from, config_of
from codectok.files.model_folder import read_config, read_weights
from codectok.fingerprint import fingerprint, two_fingerprints


def open_codec(folder: Path, name: str, device: str = "cpu") -> CodecTokenizer:
    """A codec of our own classes, as a training run or :func:`codectok.codec.folder.save_codec` wrote it.

    Raises:
        FormatError: unknown type or version, or weights that do not fit the config.
    """
    config = read_config(folder)
    model_class = codec_class(config.get("codec_type"), folder / "config.json")
    if config.get("format_version") != FORMAT_VERSION:
        version = config.get("format_version")
        raise FormatError(f"{folder} has format_version {version}: this codectok reads {FORMAT_VERSION}", path=folder)
    known = {f.name for f in fields(model_class.config_class)}
    values = {k: v for k, v in config.items() if k not in ("codec_type", "format_version")}
    if set(values) - known:
        raise FormatError(
            f"{folder / 'config.json'} has unknown key {sorted(set(values) - known)[0]!r}", path=folder / "config.json"
        )
    tensors = read_weights(folder)
    with built_from(tensors, values, folder):
        model = model_class(config_of(model_class.config_class, values, folder))
        model.load_state_dict(tensors)
    model.open_parts(folder)
    codes, decoder = two_fingerprints(config, tensors, model.decoder_keys, model.decoder_parts)
    tokenizer = CodecTokenizer(
        model.float(),
        name,
        codes,
        decoder_fingerprint=decoder,
        former=lambda: fingerprint(read_config(folder), read_weights(folder)),
        device=device,
    )
    tokenizer.folder = folder
    return tokenizer
