"""Model folders of unit tokenizers: which encoder, which streams; BPE and a vocoder beside them. Never a pickle.

The encoder is named, not copied: by a hub id, a path, or a path inside the model folder. Its name may be edited in
``config.json`` wherever it lies elsewhere: what counts is its fingerprint, which is checked when the folder is opened.
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from codectok.errors import CodectokError, FingerprintError, FormatError, UnknownTokenizerError
from codectok.files.atomic import atomic_path
from codectok.files.model_folder import read_config, read_weights
from codectok.units.encoders.baselines import BASELINES
from codectok.units.encoders.speech_encoder import SpeechEncoder
from codectok.units.kmeans.product import STREAMS
from codectok.units.kmeans.stream import Stream
from codectok.units.kmeans.tokenizer import (
    FORMAT_VERSION,
    TOKENIZER_TYPE,
    UnitTokenizer,
    named_tensors,
    units_fingerprint,
)

KEYS = {"tokenizer_type", "format_version", "encoder", "streams", "fingerprint"}
STREAM_KEYS = {"type", "layer_index", "sizes"}
PARTS = ("bpe.json", "vocoder/model.safetensors", "vocoder/config.json")
"""What may lie beside the units, and goes along when they are saved elsewhere."""
REMEDY = "edit encoder.name in its config.json (which does not change the tokenizer's fingerprint)"


def save_units(tokenizer: UnitTokenizer, folder: str | os.PathLike[str]) -> None:
    """Write a unit tokenizer as a model folder; ``config.json`` last, so that a folder with one is whole.

    Raises:
        CodectokError: a part of a tokenizer (``first``), or a folder with the BPE or the vocoder of other units.
    """
    if tokenizer.fingerprint != units_fingerprint(tokenizer.encoder.fingerprint, tokenizer.streams):
        raise CodectokError(f"{tokenizer.name} here is only a part of the tokenizer: save the whole")
    target = Path(folder)
    _refuse_foreign_parts(tokenizer, target)
    target.mkdir(parents=True, exist_ok=True)
    options = tokenizer.encoder.options()
    config = {
        "tokenizer_type": TOKENIZER_TYPE,
        "format_version": FORMAT_VERSION,
        "encoder": {
            **options,
            "name": _stored_name(str(options["name"]), target),
            "fingerprint": tokenizer.encoder.fingerprint,
        },
        "streams": [s.config() for s in tokenizer.streams],
        "fingerprint": tokenizer.fingerprint,
    }
    with atomic_path(target / "model.safetensors") as temporary:
        temporary.write_bytes(save(named_tensors(tokenizer.streams), metadata={"format": "pt"}))
    _save_parts(tokenizer, target)
    with atomic_path(target / "config.json") as temporary:
        temporary.write_text(json.dumps(config, indent=2) + "\n")


def open_units(folder: str | os.PathLike[str], name: str, device: str = "cpu") -> UnitTokenizer:
    """Units of a speech model, as ``codectok units fit`` or :func:`save_units` wrote them.

    Raises:
        FormatError: another type or version, unknown keys, damaged, or its encoder is not to be found.
        FingerprintError: the encoder is not the one that the units were fitted on.
    """
    path = Path(folder)
    config = read_config(path)
    if config.get("tokenizer_type") != TOKENIZER_TYPE:
        kind = config.get("tokenizer_type")
        raise FormatError(f"{path} has tokenizer_type {kind!r}: this codectok knows {TOKENIZER_TYPE}")
    if config.get("format_version") != FORMAT_VERSION:
        raise FormatError(
            f"{path} has format_version {config.get('format_version')}: this codectok reads {FORMAT_VERSION}"
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
            from codectok.units.vocoder.folder import open_vocoder

            vocoder = open_vocoder(path / "vocoder", tokenizer.codebook_sizes, tokenizer.sample_rate).to(device)
    except CodectokError as error:
        raise FormatError(f"{path}: {error}") from None
    tokenizer.vocoder, tokenizer.can_decode = vocoder, vocoder is not None
    return tokenizer


def open_km(folder: str, device: str = "cpu") -> UnitTokenizer:
    """km:FOLDER, units of a speech model: the folder that ``codectok units fit`` made.

    Raises:
        UnknownTokenizerError: no such folder.
    """
    if not Path(folder).is_dir():
        raise UnknownTokenizerError(f"km:{folder}: no folder {folder}: make one with codectok units fit")
    return open_units(folder, f"km:{folder}", device)


def _open_streams(path: Path, configs: Any, tensors: dict[str, Tensor]) -> list[Stream]:
    if not isinstance(configs, list) or not configs:
        raise FormatError(f"{path / 'config.json'}: streams is no list of streams")
    streams: list[Stream] = []
    for i, config in enumerate(configs):
        where = f"streams.{i}."
        if not isinstance(config, dict) or config.get("type") not in STREAMS:
            raise FormatError(f"{path / 'config.json'}: streams.{i} has a type other than {', '.join(STREAMS)}")
        _check_keys(path, where, config, STREAM_KEYS, STREAM_KEYS)
        own = {n.removeprefix(where): tensors.pop(n) for n in list(tensors) if n.startswith(where)}
        try:
            found = STREAMS[config["type"]].build(int(config["layer_index"]), config["sizes"], own)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error).splitlines()[0]
            raise FormatError(f"{path}: streams.{i} of config.json and the weights do not fit: {reason}") from None
        if found.config() != config or found.tensors().keys() != own.keys():
            raise FormatError(f"{path}: streams.{i} of config.json and the weights do not fit: sizes differ")
        streams.append(found)
    if tensors:
        raise FormatError(f"{path / 'model.safetensors'} has unknown tensor {sorted(tensors)[0]!r}")
    return streams


def _open_encoder(path: Path, config: Any, device: str) -> SpeechEncoder:
    from codectok.units.encoders.loading import load_encoder

    if not isinstance(config, dict):
        raise FormatError(f"{path / 'config.json'}: encoder is no object")
    options = dict(config)
    known = set(inspect.signature(load_encoder).parameters) - {"device"}
    _check_keys(path, "encoder.", options, {"name", "layer", "fingerprint"}, known | {"fingerprint"})
    expected, name = options.pop("fingerprint"), str(options.pop("name"))
    place = _resolved_name(name, path)
    if name.startswith((".", "/", "~")) and not Path(place).is_dir():
        raise FormatError(f"{path}: there is no encoder in {place}: get it there, or {REMEDY}")
    try:
        encoder = load_encoder(place, device=device, **options)
    except (FormatError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise FormatError(f"{path}: no encoder {name!r} there or on the hub ({reason}): get it, or {REMEDY}") from None
    if encoder.fingerprint != expected:
        raise FingerprintError(
            f"{path} was fitted on encoder {expected}, but {place} with its options is {encoder.fingerprint}: "
            f"its units would be others; get the encoder it was fitted on and {REMEDY}"
        )
    return encoder


def _resolved_name(name: str, folder: Path) -> str:
    """A path, from the model folder on, where one is meant or there; else the name as it is: a hub id, a baseline."""
    local = folder / Path(name).expanduser()
    means_path = name.startswith((".", "/", "~")) or (name not in BASELINES and local.is_dir())
    return str(local) if means_path else name


def _stored_name(name: str, folder: Path) -> str:
    """Inverse of :func:`_resolved_name`: relative inside the model folder, so that they can be moved together."""
    local = Path(name).expanduser()
    if name in BASELINES or not local.is_dir():
        return name
    whole, inside = local.resolve(), folder.resolve()
    return f"./{whole.relative_to(inside)}" if whole.is_relative_to(inside) else str(whole)


def _save_parts(tokenizer: UnitTokenizer, target: Path) -> None:
    source = tokenizer.folder
    if source is not None and source.resolve() != target.resolve():
        for part in PARTS:
            if (source / part).is_file():
                with atomic_path(target / part) as temporary:
                    shutil.copyfile(source / part, temporary)
    if source is None and tokenizer.vocoder is not None:
        from codectok.units.vocoder.folder import save_vocoder

        save_vocoder(tokenizer.vocoder, target / "vocoder")  # type: ignore[arg-type]
    if tokenizer._bpe is not None:  # the one in use may be another than the folder's
        tokenizer.bpe.save(target)


def _refuse_foreign_parts(tokenizer: UnitTokenizer, target: Path) -> None:
    found = [part for part in PARTS if (target / part).exists()]
    if found and read_config(target).get("fingerprint") != tokenizer.fingerprint:
        raise CodectokError(f"{target} has the {found[0]} of other units: remove it, or give another folder")


def _check_keys(path: Path, where: str, given: Mapping[str, Any], needed: set[str], known: set[str]) -> None:
    for key in sorted(needed - set(given)):
        raise FormatError(f"{path / 'config.json'} lacks {where}{key}: save or download it again")
    for key in sorted(set(given) - known):
        raise FormatError(f"{path / 'config.json'} has unknown key {where}{key}: it needs a newer codectok")
