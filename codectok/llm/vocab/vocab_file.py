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
from codectok.transforms.bpe_file import NAME as BPE_FILE
from codectok.transforms.unit_bpe import UnitBPE
from codectok.transforms.unit_transform import UnitTransform

FILE = "audio_vocab.json"
FORMAT_VERSION = 1
Vocab = TypeVar("Vocab", bound=VocabDescription)


def to_dict(vocab: VocabDescription) -> dict[str, Any]:
    """The description as plain JSON values."""
    plain = dataclasses.asdict(dataclasses.replace(vocab, transform=None))
    del plain["transform"]  # which files of before have not, and their fingerprints neither
    if vocab.transform is not None:
        plain["transform"] = vocab.transform.to_dict()
    return {"format_version": FORMAT_VERSION, **json.loads(json.dumps(plain))}


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
        if fields.get("transform") is not None:
            fields["transform"] = UnitTransform.from_dict(fields["transform"])
        fields["timestamps"] = TimeTags(**fields["timestamps"]) if fields["timestamps"] else None
        return kind(**fields)
    except CodectokError:
        raise
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        raise FormatError(f"this is not the description of an audio vocabulary: {error}") from error


def save(vocab: VocabDescription, folder: str | os.PathLike[str]) -> None:
    """Write the file into a folder, whole or not at all."""
    if vocab.transform is not None and vocab.transform.bpe is not None:
        vocab.transform.units().save(Path(folder) / BPE_FILE)
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
    vocab = from_dict(kind, plain)
    if vocab.transform is None or vocab.transform.bpe is None:
        return vocab
    if not (Path(folder) / BPE_FILE).is_file():
        raise FormatError(f"{folder} has no {BPE_FILE}: copy the one that was written with its {FILE}", path=folder)
    return dataclasses.replace(vocab, transform=vocab.transform.attach(UnitBPE.load(folder)))
