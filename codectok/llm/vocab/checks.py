"""What a vocabulary's description must keep to; each broken rule is one line that says what to do."""

from __future__ import annotations

from collections import Counter

import numpy as np

from codectok.errors import FormatError
from codectok.fingerprint import same
from codectok.llm.vocab.description import VocabDescription
from codectok.llm.vocab.id_layout import ORDERS
from codectok.llm.vocab.name_templates import SURROGATES, check_template
from codectok.llm.vocab.token_names import code_id


def check_vocab(vocab: VocabDescription) -> None:
    """Check a whole description.

    Raises:
        FormatError: it contradicts itself, or two tokens could be mistaken for each other.
    """
    _check_layout(vocab)
    _check_transform(vocab)
    _check_names(vocab)
    _check_marks(vocab)


def _check_layout(vocab: VocabDescription) -> None:
    sizes, slots, k = vocab.codebook_sizes, vocab.slots, vocab.num_codebooks
    if not sizes or any(not isinstance(n, int) or n < 1 for n in sizes):
        raise FormatError(f"codebook sizes {sizes} must be whole numbers, 1 or more")
    numbers = (vocab.base_id, vocab.reserved, vocab.pad_multiple, vocab.first_number)
    if not all(isinstance(n, int) for n in numbers):
        raise FormatError("base_id, reserved, pad_multiple and first_number must be whole numbers")
    if vocab.base_id < 0 or vocab.reserved < 0 or vocab.pad_multiple < 1 or vocab.first_number < 0:
        raise FormatError("base_id, reserved and first_number must be 0 or more, pad_multiple 1 or more")
    if vocab.order not in ORDERS:
        raise FormatError(f"order {vocab.order!r} is not one of {ORDERS}")
    if vocab.order == "code-major" and vocab.reserved:
        raise FormatError("free ids behind a codebook (reserved) only exist in codebook-major order")
    if len(slots) != k or sorted(set(slots)) != list(range(len(set(slots)))):
        raise FormatError(f"slots {slots} must name the stream of each of the {k} rows, streams counted from 0")
    if vocab.shared and any(sizes[row] != sizes[slots.index(s)] for row, s in enumerate(slots)):
        raise FormatError("rows that share the ids of one stream must have codebooks of one size")


def _check_transform(vocab: VocabDescription) -> None:
    steps = vocab.transform
    if steps is None:
        return
    if vocab.codebook_sizes != steps.sizes:
        raise FormatError(f"units of {list(steps.sizes)} ids do not go with codebooks of {list(vocab.codebook_sizes)}")
    if vocab.tokenizer_fingerprint is None or not same(vocab.tokenizer_fingerprint, steps.tokenizer):
        raise FormatError("the units of this vocabulary are of another tokenizer than itself")
    if steps.merges is not None and steps.merges.pattern == "codebook-major":
        raise FormatError(
            "a BPE codebook by codebook cannot be said frame after frame: train one with --pattern flatten"
        )


def _check_names(vocab: VocabDescription) -> None:
    if len(vocab.templates) not in (0, 1, vocab.num_codebooks):
        raise FormatError(f"{len(vocab.templates)} name templates for {vocab.num_codebooks} codebooks: give 1, or each")
    fields = [set(check_template(template)) for template in vocab.templates]
    unnumbered = [t for t, found in zip(vocab.templates, fields, strict=True) if not found & {"k", "n", "char"}]
    blocks = len(vocab.layout.block_sizes)
    if unnumbered and len(vocab.templates) == 1 and blocks > 1:
        raise FormatError(f"name template {vocab.templates[0]!r} gives every codebook the same names: add {{k}}")
    if len(vocab.templates) > 1 and len(set(unnumbered)) < len(unnumbered) and not vocab.shared:
        raise FormatError(f"name templates {vocab.templates} give two codebooks the same names: add {{k}}")
    if any("char" in found for found in fields):
        first, last = vocab.first_number, vocab.first_number + vocab.size
        if last > 0x110000 or (first < SURROGATES.stop and last > SURROGATES.start):
            raise FormatError(
                f"characters {first:#x} to {last - 1:#x} are not all printable: start them at {SURROGATES.stop:#x}"
            )


def _check_marks(vocab: VocabDescription) -> None:
    roles, ids = [m.role for m in vocab.marks], [m.id for m in vocab.marks]
    tokens = [m.token for m in vocab.marks if m.token]
    for what, count in (("role", Counter(roles)), ("id", Counter(ids)), ("token", Counter(tokens))):
        twice = [value for value, n in count.items() if n > 1]
        if twice:
            raise FormatError(f"two markers have the same {what}: {twice[0]}")
    blocks, _ = vocab.layout.classify(np.array(ids, dtype=np.int64))
    times = vocab.timestamps
    if times and not all(isinstance(n, int) for n in (times.base_id, times.per_second, times.count)):
        raise FormatError("base_id, per_second and count of the timestamps must be whole numbers")
    for mark, block in zip(vocab.marks, blocks.tolist(), strict=True):
        if block >= 0 or (times and times.seconds(mark.id) is not None):
            raise FormatError(f"marker {mark.role!r} has id {mark.id}, which is a code's or a timestamp's")
        if not mark.token and vocab.templates:
            raise FormatError(f"marker {mark.role!r} has no name: give it the token it has in the tokenizer")
        if mark.token and code_id(vocab, mark.token) is not None:
            raise FormatError(f"marker {mark.role!r} has the name of a code, {mark.token}")
    if times:
        first, last = vocab.base_id, vocab.base_id + vocab.size
        if times.base_id < last and times.base_id + times.count > first:
            raise FormatError("the timestamps' ids run into those of the codes")
