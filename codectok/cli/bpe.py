"""The option ``--bpe`` of commands that say units by BPE."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from codectok.tokenizer import Tokenizer
    from codectok.transforms.unit_bpe import UnitBPE

OWN = "own"
"""What the option without a value stands for."""


def bpe_option(help: str) -> Callable[[Any], Any]:
    """``--bpe [FILE]``."""
    return click.option(
        "--bpe", is_flag=False, flag_value=OWN, metavar="[FILE]", help=f"{help}; without FILE, the tokenizer's own."
    )


def read_bpe(given: str | None, tokenizer: Tokenizer) -> UnitBPE | None:
    """The BPE that was asked for: of a file or folder, or the tokenizer's own.

    Raises:
        CodectokError: the tokenizer has none of its own.
        FormatError: no BPE there, or a damaged one.
        FingerprintError: a BPE of another tokenizer's codes.
    """
    from codectok.errors import CodectokError
    from codectok.transforms.unit_bpe import UnitBPE, bpe_of

    if given is None:
        return None
    found = bpe_of(tokenizer) if given == OWN else UnitBPE.load(given)
    if found is None:
        raise CodectokError(
            f"{tokenizer.name} has no BPE of its own: train one (codectok units bpe), and name its file"
        )
    found.check_tokenizer(tokenizer)
    return found
