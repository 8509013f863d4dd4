"""Names of a whole vocabulary: ids to tokens and back, and the list that a text tokenizer is given."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from codectok.errors import CodeRangeError, FormatError
from codectok.llm.vocab.description import VocabDescription
from codectok.llm.vocab.name_templates import read_name, token_name


class TokenEntry(NamedTuple):
    """One token to add to a text tokenizer."""

    id: int
    token: str
    special: bool


def token(vocab: VocabDescription, id: int) -> str:
    """Name of one id; see ``AudioVocab.token``."""
    mark = next((mark for mark in vocab.marks if mark.id == id), None)
    if mark is not None and mark.token:
        return mark.token
    if vocab.timestamps and vocab.timestamps.seconds(id) is not None:
        return vocab.timestamps.token(id)
    number = id - vocab.base_id
    if mark is None and not 0 <= number < vocab.size:
        raise CodeRangeError(f"id {id} is not of vocabulary {vocab.name}")
    _need_names(vocab)
    return _name_at(vocab, number)


def tokens(vocab: VocabDescription) -> list[str]:
    """Names of the code block; see ``AudioVocab.tokens``."""
    _need_names(vocab)
    blocks, codes = vocab.layout.classify(np.arange(vocab.base_id, vocab.base_id + vocab.size))
    pairs = zip(blocks.tolist(), codes.tolist(), strict=True)
    return [_code_name(vocab, block, code, number) for number, (block, code) in enumerate(pairs)]


def entries(vocab: VocabDescription) -> list[TokenEntry]:
    """All tokens in the order of ids; see ``AudioVocab.entries``."""
    found = [TokenEntry(vocab.base_id + i, token, False) for i, token in enumerate(tokens(vocab))]
    found += [TokenEntry(mark.id, mark.token, mark.kind != "attribute") for mark in vocab.marks]
    if times := vocab.timestamps:
        found += [TokenEntry(id, times.token(id), True) for id in range(times.base_id, times.base_id + times.count)]
    return sorted(found)


def token_id(vocab: VocabDescription, token: str) -> int | None:
    """Id of a name; see ``AudioVocab.id``."""
    for mark in vocab.marks:
        if mark.token and mark.token == token:
            return mark.id
    if vocab.timestamps and (time := vocab.timestamps.read(token)) is not None:
        return time
    return code_id(vocab, token)


def code_id(vocab: VocabDescription, token: str) -> int | None:
    """Id of the name of a code, markers and timestamps left aside."""
    layout = vocab.layout
    for row, template in enumerate(vocab.templates):
        found = read_name(template, token)
        if found is None:
            continue
        if "n" in found:
            number = found["n"] - vocab.first_number
        else:
            block = found.get("k", layout.blocks[row])
            if block >= len(layout.block_sizes) or found["c"] >= layout.block_sizes[block]:
                continue
            number = layout.block_starts[block] + found["c"] * layout.step
        # A name may match the pattern and still be spelt otherwise: "{k}_{n}" with a k that does not belong to n.
        if 0 <= number < vocab.size and _name_at(vocab, number) == token:
            return vocab.base_id + number
    return None


def _name_at(vocab: VocabDescription, number: int) -> str:
    blocks, codes = vocab.layout.classify(np.array([vocab.base_id + number]))
    return _code_name(vocab, int(blocks[0]), int(codes[0]), number)


def _code_name(vocab: VocabDescription, block: int, code: int, number: int) -> str:
    if block < 0:
        return f"<|{vocab.name}_free_{number}|>"
    layout = vocab.layout
    template = vocab.templates[0 if len(vocab.templates) == 1 else layout.blocks.index(block)]
    return token_name(template, block, code, number + vocab.first_number)


def _need_names(vocab: VocabDescription) -> None:
    if not vocab.templates:
        raise FormatError(f"vocabulary {vocab.name} has ids without names: a tokenizer has no entries for them")
