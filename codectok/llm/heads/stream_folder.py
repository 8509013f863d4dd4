"""Opening a model of several streams: the folder of its language model, with ``streams.json`` and the heads beside."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from codectok.errors import FingerprintError, FormatError
from codectok.llm.heads.stream_model import FILE, FORMAT_VERSION, WEIGHTS, StreamModel
from codectok.llm.model.folder import open_model
from codectok.llm.patterns.stream_plan import StreamPlan
from codectok.llm.vocab.audio_vocab import AudioVocab


def plan_of(folder: str | os.PathLike[str]) -> StreamPlan | None:
    """The plan of a model folder; None of one that says one stream.

    Raises:
        FormatError: a damaged file.
    """
    plain = _read(folder)
    return None if plain is None else StreamPlan.from_dict(plain)


def need_one_stream(folder: str | os.PathLike[str], who: str) -> None:
    """Check that a model says one stream.

    Raises:
        FormatError: it says several.
    """
    if plan_of(folder) is not None:
        raise FormatError(f"{folder} says several streams, {who} reads one: give a model packed with --pattern flatten")


def _read(folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    path = Path(folder) / FILE
    if not path.is_file():
        return None
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise FormatError(f"{path} is damaged ({error}): train again, or copy it from its source", path=path) from None
    if not isinstance(plain, dict) or plain.get("format_version") != FORMAT_VERSION:
        raise FormatError(f"{path} is of another format than {FORMAT_VERSION}: update codectok", path=path)
    return plain


def open_streams(folder: str | os.PathLike[str], vocab: AudioVocab, dtype: Any = "auto") -> StreamModel:
    """The model of a folder that ``StreamModel.save_pretrained`` wrote, in evaluation mode.

    Raises:
        FormatError: files that are missing, damaged, or not of each other.
        FingerprintError: the heads are of another vocabulary than the folder's.
    """
    plain = _read(folder)
    if plain is None:
        raise FormatError(f"{folder} has no {FILE}: it says one stream", path=folder)
    if plain.get("vocab_fingerprint") != vocab.fingerprint:
        raise FingerprintError(
            f"the heads in {folder} are of another vocabulary than its own: copy the folder whole from its source",
            wanted=vocab.fingerprint,
            found=str(plain.get("vocab_fingerprint")),
        )
    plan = StreamPlan.from_dict(plain)
    lm = open_model(folder, dtype)
    model = StreamModel(lm, vocab, plan, int(plain["width"]), int(plain["layers"])).eval()
    load_heads(folder, model)
    model.heads.to(lm.dtype)
    return model


def load_heads(folder: str | os.PathLike[str], model: StreamModel) -> None:
    """Read the heads of a folder into a model.

    Raises:
        FormatError: they are missing, damaged, or of other shapes.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(folder) / WEIGHTS
    if not model.heads.state_dict():
        return
    try:
        model.heads.load_state_dict(load_file(path))
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise FormatError(
            f"{path} cannot be read ({reason}): copy the folder whole from its source", path=path
        ) from None
