"""Check a model folder against the rules of those who serve it: vLLM's loader and sampler, llama.cpp's converter."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from codectok.errors import CodectokError, FormatError
from codectok.llm.model.folder import PICKLES, open_text_tokenizer
from codectok.llm.model.stored_weights import Checkpoint, empty_model, tensor_name
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.text_tokenizer import backend, check_tokenizer

EXTEND = "make the folder with `codectok llm extend`"


@dataclass(frozen=True)
class Check:
    """One rule.

    Attributes:
        rule: in a few words.
        ok: whether it is kept; None where it is, but at a price that ``found`` names.
        found: what is there.
        remedy: what to do, where it is not.
    """

    rule: str
    ok: bool | None
    found: str
    remedy: str = ""


@dataclass
class Folder:
    """A model folder, opened as far as it lets itself be opened; ``generation`` is what names the end of text."""

    path: Path
    model: Any = None
    weights: Checkpoint | None = None
    tokenizer: Any = None
    vocab: AudioVocab | None = None
    generation: Any = None
    broken: list[Check] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.model = self._try("configuration", "get the config.json of the model", lambda: empty_model(self.path))
        self.weights = self._try(
            "weights in safetensors", "save it with save_pretrained", lambda: Checkpoint.of(self.path)
        )
        self.tokenizer = self._try(
            "tokenizer", "save the tokenizer into the folder", lambda: open_text_tokenizer(self.path)
        )
        self.vocab = self._try("audio_vocab.json", EXTEND, lambda: AudioVocab.load(self.path))
        if (self.path / "generation_config.json").is_file():
            remedy = "get the model's own, save it with save_pretrained, or delete it"
            self.generation = self._try("generation_config.json", remedy, lambda: _generation_config(self.path))
        elif self.model is not None:
            self.generation = self.model.config.get_text_config()

    def _try(self, rule: str, remedy: str, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except CodectokError as error:
            self.broken.append(Check(rule, False, str(error), remedy))
            return None

    @property
    def rows(self) -> int:
        """``vocab_size`` of the configuration."""
        return int(self.model.config.get_text_config().vocab_size)


def verify_folder(path: str | os.PathLike[str]) -> list[Check]:
    """Every rule, kept or not. Rules whose files cannot be read are left out; the file is then a broken rule itself.

    Raises:
        CodectokError: no such folder.
    """
    if not Path(path).is_dir():
        raise CodectokError(f"{os.fspath(path)} is not a folder: give a model folder")
    folder = Folder(Path(path))
    checks = [*folder.broken, _no_pickles(folder)]
    if folder.model is not None and folder.weights is not None:
        checks += _weights(folder, folder.weights)
    if folder.tokenizer is not None:
        checks += _tokenizer(folder)
    if folder.vocab is not None:
        checks += _vocab(folder, folder.vocab)
    if folder.model is not None and folder.generation is not None:
        checks += _generation(folder)
    return checks


def _generation_config(path: Path) -> Any:
    from transformers import GenerationConfig

    try:
        found = GenerationConfig.from_pretrained(path)
    except Exception as error:  # of which kind depends on what is wrong with the file
        reason = str(error).strip().partition("\n")[0]
        raise FormatError(f"cannot be read ({reason or type(error).__name__})") from None
    end = found.eos_token_id
    for id in (*(end if isinstance(end, list) else [end]), found.pad_token_id):
        if not isinstance(id, int | None):
            raise FormatError(f"{id!r} is no token id")
    return found


def _no_pickles(folder: Folder) -> Check:
    found = sorted({p.name for kind in PICKLES for p in folder.path.glob(kind)})
    return Check("no pickles", not found, ", ".join(found) or "none", "delete them: loading one may run code")


def _weights(folder: Folder, weights: Checkpoint) -> Iterator[Check]:
    model, rows = folder.model, folder.rows
    tied = bool(model.config.get_text_config().tie_word_embeddings)
    embedding_name = tensor_name(model, model.get_input_embeddings())
    head_name = tensor_name(model, model.get_output_embeddings())
    embedding, head = weights.find(embedding_name), weights.find(head_name)
    if embedding == head or (tied and embedding is None):  # tied models may be stored under either name
        embedding, head = embedding or head, None
    shape = weights.shapes.get(embedding or "")
    yield Check(
        "embedding rows = vocab_size",
        shape is not None and shape[0] == rows,
        f"{embedding_name} {list(shape or ())}, vocab_size {rows}",
        f"resize both to one number and save again, or {EXTEND}",
    )
    head_shape = weights.shapes.get(head or "")
    yield Check(
        "head rows = vocab_size",
        head_shape[0] == rows if head_shape else tied,
        f"{head_name} {list(head_shape)}" if head_shape else "tied" if tied else f"no {head_name}",
        "resize the head too" if head_shape else "set tie_word_embeddings to true, or save the head",
    )
    bias = weights.find(head_name.removesuffix("weight") + "bias")
    yield Check("no head bias", bias is None, bias or "none", "servers refuse it: fold it into the head, or drop it")
    differ = tied and head_shape is not None and not _equal(weights, embedding, head)
    yield Check(
        "tie flag = weights",
        not differ,
        f"tie_word_embeddings {str(tied).lower()}" + (", but the two tables differ" if differ else ""),
        "set tie_word_embeddings to false: with true one of the two is lost or the model loads untied",
    )
    for name, key in (("embedding", embedding), ("head", head)):
        if key is not None:
            bad = int((~weights.read(key).isfinite().all(1)).sum())
            yield Check(f"{name} is finite", not bad, f"{bad} rows with NaN or infinity", "initialise these rows")


def _equal(weights: Checkpoint, first: str | None, second: str | None) -> bool:
    if first is None or second is None or weights.shapes[first] != weights.shapes[second]:
        return False
    a: Tensor = weights.read(first)
    return bool((a == weights.read(second)).all())


def _tokenizer(folder: Folder) -> Iterator[Check]:
    length = len(folder.tokenizer)
    known = backend(folder.tokenizer).get_vocab(with_added_tokens=True)
    top = max(known.values()) + 1
    if folder.model is not None:
        yield Check(
            "tokenizer within vocab_size",
            max(top, length) <= folder.rows,
            f"{max(top, length)} ids, vocab_size {folder.rows}",
            f"the last tokens have no row: {EXTEND}",
        )
    yield Check(
        "ids contiguous",
        top == length == len(set(known.values())),
        f"{length} tokens, ids up to {top - 1}",
        "add tokens in the order of their ids: the id after the last token is taken for the end by servers",
    )
    yield Check(
        "tokenizer.json",
        (folder.path / "tokenizer.json").is_file(),
        "the file that servers read",
        "save a fast tokenizer (use_fast=True)",
    )


def _vocab(folder: Folder, vocab: AudioVocab) -> Iterator[Check]:
    if folder.model is not None:
        yield Check(
            "audio ids within vocab_size",
            vocab.end_id <= folder.rows,
            f"audio ids up to {vocab.end_id - 1}, vocab_size {folder.rows}",
            f"the last audio tokens have no row: {EXTEND}",
        )
    if folder.tokenizer is None:
        return
    try:
        check_tokenizer(folder.tokenizer, vocab)
        yield Check("audio ids = tokenizer", True, f"{vocab.size} codes from {vocab.base_id} on")
    except CodectokError as error:
        yield Check("audio ids = tokenizer", False, str(error), EXTEND)
        return
    if vocab.templates:
        added = backend(folder.tokenizer).get_added_tokens_decoder()
        wrong = [t.content for i, t in added.items() if vocab.base_id <= i < vocab.base_id + vocab.size and t.special]
        yield Check(
            "codes are not special",
            not wrong,
            f"{len(wrong)} are",
            "decoding with skip_special_tokens, which servers do, would drop them: add them with special=False",
        )


def _generation(folder: Folder) -> Iterator[Check]:
    rows = folder.rows if folder.tokenizer is None else min(folder.rows, len(folder.tokenizer))
    end = folder.generation.eos_token_id
    ends = [] if end is None else end if isinstance(end, list) else [end]
    beyond = [i for i in ends if not 0 <= i < rows]
    yield Check(
        "end of text exists",
        bool(ends) and not beyond,
        f"eos_token_id {end}",
        "set eos_token_id in generation_config.json to an id of the tokenizer: generation never ends without",
    )
    if folder.vocab is not None:
        codes = [i for i in ends if folder.vocab.base_id <= i < folder.vocab.base_id + folder.vocab.size]
        yield Check("end of text is no code", not codes, f"eos_token_id {end}", "give the id of the end of text")
    pad = folder.generation.pad_token_id
    yield Check(
        "padding exists",
        None if pad is None or pad in ends else 0 <= pad < rows,
        f"pad_token_id {pad}"
        + (": batches need one" if pad is None else ", also an end of text: mask by length, not by id" * (pad in ends)),
        "set pad_token_id in generation_config.json to an id of the tokenizer",
    )
