"""``codectok units bpe``: BPE over units, several vocabulary sizes in one training pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codectok.cli.console import handle_errors, print_json, print_table
from codectok.cli.help import command
from codectok.cli.progress import progress
from codectok.errors import CodectokError
from codectok.fingerprint import same
from codectok.transforms.bpe_file import bpe_path

if TYPE_CHECKING:
    from codectok.tokens import Tokens

HELD_OUT = 10
"""Of so many utterances the last is not trained on: figures are of those."""
PATTERNS = ("single", "flatten", "frame", "codebook-major")
"""Typed here so that ``--help`` need not import them; a test compares."""


@command()
@click.argument("inputs", metavar="STORE|TOKENS...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--vocab-size", "vocab_sizes", multiple=True, required=True, type=click.IntRange(min=2), metavar="V",
    help="Symbols and merges; may be given several times.",
)  # fmt: skip
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="File that ends in .json, or model folder, for its bpe.json.",
)
@click.option("--codebooks", type=click.IntRange(min=1), metavar="K", help="Use the first K codebooks.")
@click.option("--pattern", type=click.Choice(PATTERNS), help="Order of the codes.  [default: single, or flatten]")
@click.option("--dedup/--no-dedup", default=None, help="Merge runs of equal frames first.  [default: for K = 1]")
@click.option(
    "--min-frequency", type=click.IntRange(min=1), metavar="N", default=2, show_default=True, help="Of a merged pair."
)
@click.option(
    "--test", "tests", multiple=True, type=click.Path(path_type=Path), metavar="STORE|TOKENS",
    help="Show figures of these.  [default: of every tenth utterance, which is not trained on]",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace a bpe.json that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
@handle_errors
def bpe(
    inputs: tuple[Path, ...],
    vocab_sizes: tuple[int, ...],
    output: Path,
    codebooks: int | None,
    pattern: str | None,
    dedup: bool | None,
    min_frequency: int,
    tests: tuple[Path, ...],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Train BPE on token stores and .ctk files, and show what it saves on utterances that it was not trained on.

    The largest vocabulary is written; the smaller ones are its prefixes: load(FOLDER).bpe.truncate(V).

    \b
    Examples:
      codectok units bpe store --vocab-size 4000 -o bpe.json
      codectok units bpe store --vocab-size 4000 --vocab-size 8000 -o my-units
    """
    from kmeans_units.bpe import train_bpe
    from kmeans_units.bpe_report import bpe_table

    _check_output(output, overwrite)
    tokens = [t if codebooks is None else t.first(codebooks) for t in read_tokens(inputs)]
    _check_tokenizer(output, tokens)
    if tests:
        shown = [t if codebooks is None else t.first(codebooks) for t in read_tokens(tests)]
        of = "utterances of --test"
    else:
        shown, tokens = tokens[HELD_OUT - 1 :: HELD_OUT], [t for i, t in enumerate(tokens, 1) if i % HELD_OUT]
        of = "others, not trained on"
    if not shown:
        shown, of = tokens, "them: there are too few to hold some out"
    sizes = sorted(set(vocab_sizes))
    with progress(None, "BPE"):
        trained = train_bpe(
            tokens,
            sizes[-1],
            pattern=pattern,
            dedup=dedup,
            min_frequency=min_frequency,
            trained_on={"inputs": [p.name for p in inputs], "vocab_sizes": sizes},
        )
        rows = bpe_table(trained, shown, sizes)
    trained.save(output)
    facts, path = trained.trained_on, bpe_path(output)
    if as_json:
        measured = {"utterances": len(shown), "trained_on": shown is tokens}
        entry = {"bpe": str(path), "fingerprint": trained.fingerprint, **facts, "measured": measured}
        print_json({**entry, "table": rows})
        return
    title = f"{facts['utterances']} utterances, {facts['seconds'] / 3600:.2f} h; figures are of {len(shown)} {of}"
    print_table(title, rows)
    click.echo(f"wrote {path}")


def read_tokens(inputs: tuple[Path, ...]) -> Iterator[Tokens]:
    """All tokens of some stores, .ctk files and folders of .ctk files, in order.

    Raises:
        CodectokError: a path that is not there.
        FormatError: what is neither, or damaged.
        click.UsageError: a folder with nothing to read.
    """
    from codectok.cli.paths import expand
    from codectok.store import open_store
    from codectok.tokens import Tokens

    for item in inputs:
        if not item.exists():
            raise CodectokError(f"there is no {item}: give a token store, .ctk files or a folder of them")
        if (item / "store.json").is_file() or (item / ".work").is_dir():
            for _, tokens in open_store(item):
                yield tokens
        else:
            for path in expand([str(item)], {".ctk"}):
                yield Tokens.load(path)


def _check_output(output: Path, overwrite: bool) -> None:
    if output.exists() and not output.is_dir() and output.suffix != ".json":
        raise click.UsageError(f"-o {output} is a file: give the model folder, or a name that ends in .json")
    if bpe_path(output).exists() and not overwrite:
        raise click.UsageError(f"{bpe_path(output)} exists: choose another -o, or allow it with --overwrite")


def _check_tokenizer(output: Path, tokens: list[Tokens]) -> None:
    """Refuse to put the BPE of other codes beside a tokenizer, where its config tells its fingerprint."""
    from codectok.errors import FingerprintError
    from codectok.files.model_folder import read_config

    if not tokens or not (output / "config.json").is_file():
        return
    expected = read_config(output).get("fingerprint")
    if expected is not None and not same(expected, tokens[0].fingerprint):
        raise FingerprintError(
            f"the tokens are of tokenizer {tokens[0].fingerprint}, {output} holds tokenizer {expected}: tokenize the "
            "corpus with that one, or choose another -o",
            wanted=expected,
            found=tokens[0].fingerprint,
        )
