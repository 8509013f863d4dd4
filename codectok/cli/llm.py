"""``codectok llm``: audio tokens in a language model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from codectok.cli.lazy import LazyGroup

COMMANDS = {
    "extend": ("codectok.cli.llm_extend:extend", "Give a language model the tokens of an audio tokenizer."),
    "verify": ("codectok.cli.llm_verify:verify", "Check a model folder against the rules of servers."),
    "pack": ("codectok.cli.llm_pack:pack", "Turn a token store into a training dataset."),
    "train": ("codectok.cli.llm_train:train", "Train a model on a packed dataset, in stages."),
    "generate": ("codectok.cli.llm_generate:generate", "Continue a prompt, in text and sound."),
}


class Subgroup(LazyGroup):
    """A group below the main one: entry points of other packages are commands of that alone."""

    plugins: Mapping[str, Any] = {}  # type: ignore[assignment]


@click.group(cls=Subgroup, table=COMMANDS)
def llm() -> None:
    """Extend a language model with audio tokens, check, train and run it."""
