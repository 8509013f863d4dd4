"""The ``codectok`` command itself: a table of its subcommands, none of which is imported before it is run."""

from __future__ import annotations

import click

from codectok import __version__
from codectok.cli.lazy import LazyGroup

COMMANDS = {
    "encode": ("codectok.cli.encode:encode", "Turn audio files into .ctk token files."),
    "decode": ("codectok.cli.decode:decode", "Turn .ctk token files back into audio."),
    "corpus": ("codectok.cli.corpus:corpus", "Make manifests of known corpora, and of pieces of long files."),
    "tokenize": ("codectok.cli.tokenize:tokenize", "Tokenize a corpus into a token store."),
    "convert": ("codectok.cli.convert:convert", "Write a token store in another format."),
    "merge": ("codectok.cli.store:merge", "Join the parts of a job array into one token store."),
    "verify": ("codectok.cli.store:verify", "Check a token store: every shard, row and count."),
    "llm": ("codectok.cli.llm:llm", "Extend a language model with audio tokens, check, train and run it."),
    "info": ("codectok.cli.info:info", "Show the facts of a tokenizer, a .ctk file or a store."),
    "inspect": ("codectok.cli.inspect:inspect", "Listen to, look at and compare tokenizers in one HTML page."),
}


@click.group(
    cls=LazyGroup, table=COMMANDS, entry_points_too=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="codectok")
def main() -> None:
    """Speech to integers and back.

    Every tokenizer (--tokenizer) is a packaged name such as speech or pcm, a model folder, or a hub id.

    Exit status: 0, all done; 1, done, but some items failed and are listed; 2, usage or input error; 130 or 143,
    stopped by Ctrl-C or SIGTERM, with a line that says what is kept.
    """
