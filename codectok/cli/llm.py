"""``codectok llm``: audio tokens in a language model."""

from __future__ import annotations

import click

from codectok.cli.lazy import LazyGroup

COMMANDS = {
    "extend": ("codectok.cli.llm_extend:extend", "Give a language model the tokens of an audio tokenizer."),
    "verify": ("codectok.cli.llm_verify:verify", "Check a model folder against the rules of servers."),
    "pack": ("codectok.cli.llm_pack:pack", "Turn a token store into a training dataset."),
    "train": ("codectok.cli.llm_train:train", "Train a model on a packed dataset, in stages."),
    "score": ("codectok.cli.llm_score:score", "Score a model of speech: pairs, perplexity, continuations."),
    "generate": ("codectok.cli.llm_generate:generate", "Continue a prompt, in text and sound."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def llm() -> None:
    """Extend a language model with audio tokens, check, train, run and score it."""
