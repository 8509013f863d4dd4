"""BPE over units as a Hugging Face tokenizer: the same ids from text.

The **text form** of symbols is one character each, the s-th of Unicode's private use: U+E000.. (6,400), then U+F0000..
(65,534) and U+100000.. (65,534), 137,468 in all. No normalisation form changes these, none is a space or a surrogate,
and none comes up in anyone's text. Ids, and what each spells, are those of the BPE.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from codectok.errors import CodectokError, CodeRangeError
from codectok.files.atomic import atomic_path

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PRIVATE_USE = ((0xE000, 0xF8FF), (0xF0000, 0xFFFFD), (0x100000, 0x10FFFD))
"""First and last code points."""
CHARACTERS = np.concatenate([np.arange(first, last + 1, dtype=np.uint32) for first, last in PRIVATE_USE])
"""Code point of each symbol; they rise."""


def to_text(symbols: np.ndarray | Sequence[int]) -> str:
    """Symbols, int [N], as text of N characters.

    Raises:
        CodeRangeError: a symbol that has no character of its own.
    """
    given = np.asarray(symbols, dtype=np.int64)
    if given.size and not (given.min() >= 0 and given.max() < len(CHARACTERS)):
        raise CodeRangeError(f"symbols {given.min()}..{given.max()}: only 0..{len(CHARACTERS) - 1} have a character")
    return CHARACTERS[given].astype("<u4").tobytes().decode("utf-32-le")


def from_text(text: str) -> np.ndarray:
    """The symbols, int64 [N], of their text form.

    Raises:
        CodeRangeError: a character that stands for no symbol.
    """
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    symbols = np.searchsorted(CHARACTERS, points)
    wrong = np.flatnonzero(CHARACTERS[np.minimum(symbols, len(CHARACTERS) - 1)] != points)
    if wrong.size:
        raise CodeRangeError(f"character U+{points[wrong[0]]:04X} at {wrong[0]} stands for no symbol")
    return symbols.astype(np.int64)


def check_symbols(count: int) -> None:
    """That so many symbols have a text form.

    Raises:
        CodectokError: there are not so many characters.
    """
    if count > len(CHARACTERS):
        raise CodectokError(
            f"{count} symbols are more than the {len(CHARACTERS)} characters of private use: this BPE has no "
            "text form, use encode_ids"
        )


def to_hf(pieces: Sequence[Sequence[int]], merges: np.ndarray) -> PreTrainedTokenizerFast:
    """A ``PreTrainedTokenizerFast`` of the symbols that each id spells, and pairs of ids [M, 2] in order of rank.

    Its ``decode`` gives the text form back. It has no special tokens, no normaliser and no pre-tokenizer.

    Raises:
        CodectokError: two ids that spell the same (never from training).
    """
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    names = [to_text(piece) for piece in pieces]
    vocabulary = {name: i for i, name in enumerate(names)}
    if len(vocabulary) != len(names):
        raise CodectokError("two ids of this BPE spell the same symbols: a Hugging Face tokenizer cannot hold both")
    pairs = [(names[a], names[b]) for a, b in merges.tolist()]
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=backend, clean_up_tokenization_spaces=False)


def save_hf(tokenizer: PreTrainedTokenizerFast, folder: str | os.PathLike[str]) -> None:
    """Write the files of a tokenizer into ``folder`` (made if missing), each whole or not at all."""
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer.save_pretrained(scratch)
        for file in sorted(Path(scratch).iterdir()):
            with atomic_path(Path(folder) / file.name) as temporary:
                temporary.write_bytes(file.read_bytes())
