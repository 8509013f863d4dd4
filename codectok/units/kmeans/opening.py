"""Opening model folders of unit tokenizers; :mod:`codectok.units.kmeans.folder` says what they hold."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from codectok import registry
from codectok.errors import CodectokError, FingerprintError, FormatError, UnknownTokenizerError
from codectok.files.bounds import NOT_BUILT
from codectok.files.model_folder import read_config, read_weights
from codectok.units.encoders.loading import load_encoder
from codectok.units.encoders.speech_encoder import SpeechEncoder
from codectok.units.kmeans.folder import FORMAT_VERSION, TOKENIZER_TYPE
from codectok.units.kmeans.stream import Stream
from codectok.units.kmeans.tokenizer import UnitTokenizer
from codectok.units.vocoder.folder import open_vocoder

KEYS = {"tokenizer_type", "format_version", "encoder", "streams", "fingerprint"}
STREAM_KEYS = {"type", "layer_index", "sizes"}
STREAMS: registry.Table[type[Stream]] = registry.Table("unit_streams")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
REMEDY = "edit encoder.name in its config.json (which does not change the tokenizer's fingerprint)"


def open_units(folder: str | os.PathLike[str], name: str, device: str = "cpu") -> UnitTokenizer:
    """Units of a speech model, as ``codectok units fit`` or ``save_pretrained`` wrote them.

    Raises:
        FormatError: another type or version, unknown keys, damaged, or its encoder is not to be found.
        FingerprintError: the encoder is not the one that the units were fitted on.
    """
    path = Path(folder)
    config = read_config(path)
    if config.get("tokenizer_type") != TOKENIZER_TYPE:
        kind = config.get("tokenizer_type")
        raise FormatError(f"{path} has tokenizer_type {kind!r}: this codectok knows {TOKENIZER_TYPE}", path=path)
    if config.get("format_version") != FORMAT_VERSION:
        raise FormatError(
            f"{path} has format_version {config.get('format_version')}: this codectok reads {FORMAT_VERSION}", path=path
        )
    _check_keys(path, "", config, KEYS, KEYS)
    streams = _open_streams(path, config["streams"], read_weights(path))
    encoder = _open_encoder(path, config["encoder"], device)
    vocoder = None
    try:
        tokenizer = UnitTokenizer(encoder, streams, name, device, folder=path)
        if tokenizer.fingerprint != config["fingerprint"]:
            raise FormatError("config.json and model.safetensors do not belong together: save or download it again")
        if (path / "vocoder").is_dir():
            vocoder = open_vocoder(path / "vocoder", tokenizer.codebook_sizes, tokenizer.sample_rate).to(device)
    except CodectokError as error:
        raise FormatError(f"{path}: {error}", path=path) from None
    tokenizer.vocoder, tokenizer.can_decode = vocoder, vocoder is not None
    return tokenizer


def open_km(folder: str, device: str = "cpu") -> UnitTokenizer:
    """km:FOLDER, units of a speech model: the folder that ``codectok units fit`` made.

    Raises:
        UnknownTokenizerError: no such folder.
    """
    if not Path(folder).is_dir():
        raise UnknownTokenizerError(
            f"km:{folder}: no folder {folder}: make one with codectok units fit", name=f"km:{folder}", kind="tokenizers"
        )
    return open_units(folder, f"km:{folder}", device)


def _open_streams(path: Path, configs: Any, tensors: dict[str, Tensor]) -> list[Stream]:
    if not isinstance(configs, list) or not configs:
        raise FormatError(f"{path / 'config.json'}: streams is no list of streams", path=path / "config.json")
    streams: list[Stream] = []
    for i, config in enumerate(configs):
        where = f"streams.{i}."
        if not isinstance(config, dict) or config.get("type") not in STREAMS:
            raise FormatError(
                f"{path / 'config.json'}: streams.{i} has a type other than {', '.join(STREAMS)}",
                path=path / "config.json",
            )
        _check_keys(path, where, config, STREAM_KEYS, STREAM_KEYS)
        own = {n.removeprefix(where): tensors.pop(n) for n in list(tensors) if n.startswith(where)}
        try:
            found = STREAMS[config["type"]].build(int(config["layer_index"]), config["sizes"], own)
        except NOT_BUILT as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error).splitlines()[0]
            raise FormatError(
                f"{path}: streams.{i} of config.json and the weights do not fit: {reason}", path=path
            ) from None
        if found.config() != config or found.tensors().keys() != own.keys():
            raise FormatError(f"{path}: streams.{i} of config.json and the weights do not fit: sizes differ", path=path)
        streams.append(found)
    if tensors:
        raise FormatError(
            f"{path / 'model.safetensors'} has unknown tensor {sorted(tensors)[0]!r}", path=path / "model.safetensors"
        )
    return streams


def _open_encoder(path: Path, config: Any, device: str) -> SpeechEncoder:
    if not isinstance(config, dict):
        raise FormatError(f"{path / 'config.json'}: encoder is no object", path=path / "config.json")
    options = dict(config)
    known = set(inspect.signature(load_encoder).parameters) - {"device"}
    _check_keys(path, "encoder.", options, {"name", "layer", "fingerprint"}, known | {"fingerprint"})
    expected, name = options.pop("fingerprint"), options.pop("name")
    if not isinstance(name, str) or not name or "\0" in name:
        raise FormatError(f"{path / 'config.json'}: encoder.name {name!r:.80} is no name", path=path / "config.json")
    place = _resolved_name(name, path)
    if not (registry.known("encoders", name) or Path(place).is_dir() or _HUB_ID.fullmatch(name)):
        raise FormatError(f"{path}: there is no encoder {name!r:.80}: {REMEDY}", path=path)
    if name.startswith((".", "/", "~")) and not Path(place).is_dir():
        raise FormatError(f"{path}: there is no encoder in {place}: get it there, or {REMEDY}", path=path)
    try:
        encoder = load_encoder(place, device=device, **options)
    except (CodectokError, *NOT_BUILT) as error:
        reason = next(iter(str(error).splitlines()), "")[:200] or type(error).__name__
        raise FormatError(
            f"{path}: no encoder {name!r} there or on the hub ({reason}): get it, or {REMEDY}", path=path
        ) from None
    if encoder.fingerprint != expected:
        raise FingerprintError(
            f"{path} was fitted on encoder {expected}, but {place} with its options is {encoder.fingerprint}: "
            f"its units would be others; get the encoder it was fitted on and {REMEDY}",
            wanted=expected,
            found=encoder.fingerprint,
        )
    return encoder


def _resolved_name(name: str, folder: Path) -> str:
    """A path, from the model folder on, where one is meant or there; else the name as it is: a hub id, a baseline."""
    local = folder / Path(name).expanduser()
    means_path = name.startswith((".", "/", "~")) or (not registry.known("encoders", name) and local.is_dir())
    return str(local) if means_path else name


def _check_keys(path: Path, where: str, given: Mapping[str, Any], needed: set[str], known: set[str]) -> None:
    for key in sorted(needed - set(given)):
        raise FormatError(
            f"{path / 'config.json'} lacks {where}{key}: save or download it again", path=path / "config.json"
        )
    for key in sorted(set(given) - known):
        raise FormatError(
            f"{path / 'config.json'} has unknown key {where}{key}: it needs a newer codectok", path=path / "config.json"
        )
