"""``audio_vocab.json``: a vocabulary as plain JSON, beside the tokenizer's files."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any, TypeVar

from codectok.errors import CodectokError, FormatError
from codectok.files.atomic import atomic_path
from codectok.llm.vocab.description import VocabDescription
from codectok.llm.vocab.tags import Mark, TimeTags

FILE = "audio_vocab.json"
FORMAT_VERSION = 1
Vocab = TypeVar("Vocab", bound=VocabDescription)


def to_dict(vocab: VocabDescription) -> dict[str, Any]:
    """The description as plain JSON values."""
    plain = json.loads(json.dumps(dataclasses.asdict(vocab)))
    return {"format_version": FORMAT_VERSION, **plain}


def from_dict(kind: type[Vocab], plain: dict[str, Any]) -> Vocab:
    """Undo ``to_dict``; see ``AudioVocab.from_dict``."""
    fields = dict(plain)
    version = fields.pop("format_version", None)
    if not isinstance(version, int):
        raise FormatError(
            "an audio vocabulary without its format_version is damaged: make it with `codectok llm extend`"
        )
    if version != FORMAT_VERSION:
        raise FormatError(f"audio vocabulary of format {version}, this codectok reads {FORMAT_VERSION}: update it")
    try:
        fields["marks"] = tuple(Mark(**mark) for mark in fields["marks"])
        fields["timestamps"] = TimeTags(**fields["timestamps"]) if fields["timestamps"] else None
        return kind(**fields)
    except CodectokError:
        raise
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        raise FormatError(f"this is not the description of an audio vocabulary: {error}") from error


def save(vocab: VocabDescription, folder: str | os.PathLike[str]) -> None:
    """Write the file into a folder, whole or not at all."""
    with atomic_path(Path(folder) / FILE) as path:
        path.write_text(json.dumps(to_dict(vocab), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(kind: type[Vocab], folder: str | os.PathLike[str]) -> Vocab:
    """Read the file from a folder; see ``AudioVocab.load``."""
    path = Path(folder) / FILE
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise FormatError(
            f"no audio vocabulary in {folder} ({error}): make one with `codectok llm extend`", path=folder
        ) from error
    if not isinstance(plain, dict):
        raise FormatError(f"{path} does not describe an audio vocabulary", path=path)
    return from_dict(kind, plain)
