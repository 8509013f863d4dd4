"""Give a language model an audio vocabulary: tokens, rows, first values, a report."""

from __future__ import annotations

import dataclasses
import inspect
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.llm.model.adapters import open_whole
from codectok.llm.model.extend_report import SAMPLE_TEXT, ExtendReport, TextProbe, table_report
from codectok.llm.model.folder import new_folder, open_text_tokenizer, save_model
from codectok.llm.model.initialise import NOISE, initial_rows
from codectok.llm.model.resize import grow, rows_needed, tables, write_rows
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.presets import PRESETS, preset
from codectok.llm.vocab.tags import Tag
from codectok.llm.vocab.text_tokenizer import add_to, backend, check_tokenizer, next_id, special_ids
from codectok.llm.vocab.vocab_file import FILE
from codectok.tokenizer import Tokenizer
from codectok.transforms.unit_bpe import UnitBPE
from codectok.transforms.unit_transform import UnitTransform

TRIAL = 4096
"""Any base id: for a look at a preset."""


@dataclass(frozen=True)
class ExtendOptions:
    """How the new rows are made.

    Attributes:
        init: "mean", "mean+noise", "normal" or "codebook" (see ``codectok.llm.model.initialise``).
        noise: of "mean+noise", in standard deviations of text.
        pad_multiple: rows are padded to a multiple of this.
        seed: of the draws.
        text: what the probabilities are measured on.
        device: torch device that they are measured on; rows are made where the model is.
    """

    init: str = "mean+noise"
    noise: float = NOISE
    pad_multiple: int = 1
    seed: int = 0
    text: str = SAMPLE_TEXT
    device: str = "cpu"


def make_vocab(
    tokenizer: Any,
    tok: Tokenizer | None,
    *,
    preset_name: str | None = None,
    num_codebooks: int | None = None,
    tags: tuple[Tag, ...] = (),
    timestamps: int = 0,
    name: str = "audio",
    around: tuple[str, str] | None = None,
    dedup: bool = False,
    bpe: UnitBPE | None = None,
) -> AudioVocab:
    """The vocabulary for a text tokenizer and an audio tokenizer, from the next free id on.

    Markers, tags and timestamps that the text tokenizer has as special tokens, as of an audio model, are used again.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        tok: the audio tokenizer; may be None with a preset.
        preset_name: the names and the order of a published system.
        num_codebooks: the first K of the audio tokenizer; of a preset, where it can be chosen.
        dedup: runs of equal frames are one token; how long they are is not said.
        bpe: the tokens are its ids; without ``num_codebooks``, of its codebooks.
        tags: task and language tokens. What follows is without a preset only, too.
        timestamps: their number.
        name: of the tokens, <|NAME_0_17|>.
        around: names of the markers around audio, such as those of a base model: ("<|audio_bos|>", "<|audio_eos|>").

    Raises:
        FormatError: neither audio tokenizer nor preset, a preset of other codebooks than the audio tokenizer's, or
            names that are taken by tokens which cannot be used again.
        CodeRangeError: more codebooks than there are.
    """
    if preset_name is None:
        if tok is None:
            raise FormatError("an audio vocabulary needs an audio tokenizer or a preset: name one of them")
        if bpe is not None and num_codebooks is None:
            num_codebooks = len(bpe.codebook_sizes)
        sizes = tok.codebook_sizes[: tok.choose_codebooks(num_codebooks, None)]
        steps = None
        if dedup or bpe is not None:
            steps = UnitTransform.of(tok.fingerprint, sizes, dedup=dedup, bpe=bpe, durations=False)
            sizes = steps.sizes
        vocab = AudioVocab.create(
            sizes,
            next_id(tokenizer),
            name=name,
            tags=tags,
            timestamps=timestamps,
            around=around,
            known=special_ids(tokenizer),
            tokenizer_fingerprint=tok.fingerprint,
            transform=steps,
        )
        _check_names(vocab, tokenizer)
        return vocab
    if bpe is not None:
        raise FormatError("a preset has the ids of its own system: BPE goes without one")
    if tags or timestamps or around or name != "audio":
        raise FormatError("a preset has its own names and markers: tags, timestamps and names go without one")
    known = inspect.signature(PRESETS[preset_name]).parameters if preset_name in PRESETS else {}
    options = {} if num_codebooks is None else {"num_codebooks": num_codebooks}
    if "base_id" in known:
        # A preset may have ids before its base, which must be free too.
        ahead = TRIAL - int(np.flatnonzero(preset(preset_name, **options, base_id=TRIAL).id_mask)[0])
        options["base_id"] = next_id(tokenizer) + ahead
    vocab = preset(preset_name, **options)
    if tok is None:
        return vocab
    needed = dict(zip(vocab.slots, vocab.codebook_sizes, strict=True))
    have = dict(enumerate(tok.codebook_sizes))
    if any(have.get(stream) != size for stream, size in needed.items()):
        raise FormatError(
            f"preset {preset_name} is for codebooks of {list(needed.values())}, {tok.name} has "
            f"{list(tok.codebook_sizes)}: use the system's own audio tokenizer, or no preset"
        )
    vocab = dataclasses.replace(vocab, tokenizer_fingerprint=tok.fingerprint)
    if not dedup:
        return vocab
    merged = UnitTransform.of(tok.fingerprint, vocab.codebook_sizes, dedup=True, durations=False)
    return dataclasses.replace(vocab, transform=merged)


def _check_names(vocab: AudioVocab, tokenizer: Any) -> None:
    """Refuse names that the tokenizer has for something else, with the option that gives others."""
    known = backend(tokenizer).get_vocab(with_added_tokens=True)
    marks = {mark.id: mark.token for mark in vocab.marks}
    for id, token, _ in vocab.entries():
        if known.get(token, id) == id and (token in known or id not in known.values()):
            continue
        if token not in known:
            raise FormatError(f"id {id} of {token} is taken: the base has some timestamps, give as many or none")
        if token in marks.values():
            raise FormatError(
                f"the base has {token}, which is no special token and so no marker: give other names "
                "(--name, or --markers START,END)"
            )
        raise FormatError(f"the base has {token} already: give the new tokens another name (--name speech)")


@torch.no_grad()
def extend_model(
    model: Any, tokenizer: Any, vocab: AudioVocab, options: ExtendOptions, tok: Tokenizer | None = None
) -> ExtendReport:
    """Add the tokens and the rows, in place. Rows of other tokens keep their bits.

    Rows that existed but were no token's (padding) get first values too where a new token falls on them. Tied tables
    are initialised once; an untied head is, from its own rows of text. Its ``codebook`` rows are ``mean+noise``: that
    method says what a code sounds like, not when it comes next. New padding rows are the mean.

    Args:
        model: a causal language model of transformers.
        tokenizer: its fast tokenizer, without the vocabulary.
        vocab: to add.
        options: how.
        tok: for initialisation ``codebook``.

    Raises:
        FormatError: ids that the tokenizer cannot give; see also ``codectok.llm.model.resize`` and ``.initialise``.
    """
    before = tables(model)
    known = np.array(sorted(backend(tokenizer).get_vocab(with_added_tokens=True).values()), dtype=np.int64)
    text = torch.from_numpy(known[(known < before.rows) & ~vocab.owns(known)])
    owned = np.flatnonzero(vocab.id_mask)
    fresh = torch.from_numpy(owned[~np.isin(owned, known)])
    probe = TextProbe(model, tokenizer, options.text, fresh, options.device)
    codes = _code_rows(vocab, tok, fresh) if options.init == "codebook" else None
    initial = [
        _initial(name, table, text, len(fresh), codes, options, tied=before.tied)
        for name, table in before.named().items()
    ]
    if vocab.templates:
        add_to(tokenizer, vocab)
    else:
        check_tokenizer(tokenizer, vocab)
    multiple = int(np.lcm(options.pad_multiple, vocab.pad_multiple))
    rows = rows_needed(before.rows, max(vocab.rows, len(tokenizer)), multiple)
    old_rows = before.rows
    after = grow(model, rows)
    padding = torch.arange(old_rows, rows)
    padding = padding[~torch.isin(padding, fresh)]
    for (_, table), (values, mean) in zip(after.named().items(), initial, strict=True):
        write_rows(table, padding, mean.expand(len(padding), -1))
        write_rows(table, fresh, values)
    _agree(model, tokenizer)
    return ExtendReport(
        tied=after.tied,
        init=options.init,
        tokens=len(fresh),
        rows_before=old_rows,
        rows=rows,
        rows_reused=int((fresh < old_rows).sum()),
        rows_padding=len(padding),
        dtype=str(after.input.dtype).removeprefix("torch."),
        tables=[row for name, t in after.named().items() for row in table_report(name, t, text, fresh)],
        text=probe.compare(model),
        tokenizer=None if tok is None else tok.name,
        units=None if vocab.transform is None else str(vocab.transform),
    )


def extend_folder(
    model_name: str,
    output: str | os.PathLike[str],
    tok: Tokenizer | None,
    options: ExtendOptions,
    *,
    overwrite: bool = False,
    **vocabulary: Any,
) -> ExtendReport:
    """Extend a model folder or hub id and write the result, ``audio_vocab.json`` and ``extend_report.json`` with it.

    Args:
        model_name: folder or hub id of the model.
        output: folder to write.
        tok: the audio tokenizer.
        options: how the rows are made.
        overwrite: replace ``output``.
        vocabulary: further arguments of :func:`make_vocab`.

    Raises:
        FormatError: a model that cannot be extended, or has been already; ``output`` exists.
    """
    if (Path(model_name) / FILE).exists():
        raise FormatError(f"{model_name} has audio tokens already ({FILE}): extend the model that it was made from")
    with new_folder(output, overwrite, mark=FILE) as folder:
        tokenizer = open_text_tokenizer(model_name)
        vocab = make_vocab(tokenizer, tok, **vocabulary)
        model = open_whole(model_name)
        vocab = dataclasses.replace(vocab, pad_multiple=int(np.lcm(vocab.pad_multiple, options.pad_multiple)))
        report = extend_model(model, tokenizer, vocab, options, tok)
        save_model(folder, model, tokenizer, vocab)
        report.save(folder)
    return report


def _initial(
    name: str, table: Tensor, text: Tensor, count: int, codes: Any, options: ExtendOptions, tied: bool
) -> tuple[Tensor, Tensor]:
    """First values of new rows, and the mean of text."""
    method = "mean+noise" if options.init == "codebook" and name == "head" and not tied else options.init
    seed = options.seed * 2 + (name == "head")
    values = initial_rows(method, table, text, count, codes=codes, noise=options.noise, seed=seed)
    return values, initial_rows("mean", table, text, 1)[0]


def _code_rows(vocab: AudioVocab, tok: Tokenizer | None, fresh: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
    """Of each row of a code matrix: where its codes stand among the new ids, and their vectors."""
    if tok is None:
        raise FormatError("initialisation codebook needs an audio tokenizer: name it, or choose mean+noise")
    if vocab.transform is not None and vocab.transform.bpe is not None:
        raise FormatError("initialisation codebook has no vectors for BPE ids: choose mean+noise")
    place = torch.full((vocab.end_id,), -1, dtype=torch.int64)
    place[fresh] = torch.arange(len(fresh))
    found = {}
    for row, (stream, size) in enumerate(zip(vocab.slots, vocab.codebook_sizes, strict=True)):
        places = place[torch.as_tensor(vocab.stream_ids(row, np.arange(size)))]
        found[row] = (places[places >= 0], tok.code_vectors(stream)[places >= 0])
    return found


def _agree(model: Any, tokenizer: Any) -> None:
    """Let generation stop and pad by ids that the tokenizer has; a padding token is never made up."""
    generation = model.generation_config
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        own = getattr(tokenizer, name)
        if getattr(generation, name) is None:
            setattr(generation, name, getattr(model.config, name, None) if own is None else own)
        if own is not None and name != "eos_token_id":  # several ends of text may be configured: they stay
            setattr(model.config, name, own)
            setattr(generation, name, own)
