"""Adding audio tokens to a text tokenizer, and turning codes into ids, against transformers' own ways, in one run.

``python -m benchmarks.speed vocabulary`` (``--quick`` for a look, ``--json FILE`` to keep the figures)

Adding: all tokens in one call, against one ``add_tokens`` a codebook, as recipes with several codebooks do. Ids: one
gather, against the codes pasted together as text and tokenized. Seconds are of CPU time, medians over the repeats.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from codectok.cli.console import print_table

from .turns import json_option, keep, ratios, take_turns

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog"]


def text_tokenizer() -> Any:
    """A small byte-level BPE tokenizer of transformers, made here."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator([" ".join(WORDS)] * 10, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>")


def vocabulary(tokenizer: Any, codebooks: int, size: int) -> Any:
    """The audio vocabulary that comes behind a tokenizer's own."""
    from codectok.llm import AudioVocab
    from codectok.llm.vocab.text_tokenizer import next_id

    return AudioVocab.create((size,) * codebooks, next_id(tokenizer), tokenizer_fingerprint="f" * 32)


def add_by_codebook(vocab: Any) -> None:
    """The peer: one call of transformers a codebook."""
    from tokenizers import AddedToken

    tokenizer, tokens = text_tokenizer(), vocab.tokens()
    size = -(-len(tokens) // vocab.num_codebooks)
    for start in range(0, len(tokens), size):
        tokenizer.add_tokens([AddedToken(t, normalized=False) for t in tokens[start : start + size]])


def add_at_once(vocab: Any) -> None:
    """Ours: one call, and every id compared with the declared one."""
    from codectok.llm import add_to

    add_to(text_tokenizer(), vocab)


def rows_of(title: str, calls: dict[str, Callable[[], Any]], count: int, repeats: int) -> list[dict[str, Any]]:
    """One row a way of doing it; the first is ours."""
    times = take_turns(calls, repeats)
    rows: list[dict[str, Any]] = []
    for name, found in times.items():
        cpu = statistics.median(c for _, c in found)
        rows.append({"what": title, "way": name, "s of CPU": cpu, "tokens/s": count / cpu, "ratio by CPU time": ""})
    ours, theirs = (times[name] for name in calls)
    rows[0]["ratio by CPU time"] = ratios(ours, theirs)["ratio by CPU time"]
    return rows


@click.command(help=__doc__)
@click.option("--codebooks", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--size", type=click.IntRange(min=2), default=2048, show_default=True, help="Codes of a codebook.")
@click.option("--frames", type=click.IntRange(min=1), default=250, show_default=True, help="Whose ids are made.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--quick", is_flag=True, help="8 codebooks of 1024, 1 repeat.")
@json_option
def main(codebooks: int, size: int, frames: int, repeats: int, quick: bool, json_file: Path | None) -> None:
    """See the module."""
    from codectok.llm import add_to

    if quick:
        codebooks, size, repeats = 8, 1024, 1
    tokenizer = text_tokenizer()
    vocab = vocabulary(tokenizer, codebooks, size)
    add_to(tokenizer, vocab)
    codes = np.random.default_rng(0).integers(0, size, (codebooks, frames))
    text = "".join(map(vocab.token, vocab.ids(codes).T.reshape(-1).tolist()))
    same = vocab.ids(codes).T.reshape(-1).tolist() == tokenizer(text).input_ids
    fast = {"ours": lambda: [vocab.ids(codes).T.reshape(-1) for _ in range(100)], "text": lambda: tokenizer(text)}
    started = time.perf_counter()
    rows = rows_of(
        "add", {"ours": lambda: add_at_once(vocab), "text": lambda: add_by_codebook(vocab)}, vocab.rows, repeats
    )
    found = take_turns(fast, repeats)
    # A hundred times the ids, or the clock would see nothing.
    ours, theirs = (statistics.median(c for _, c in found[name]) / n for name, n in (("ours", 100), ("text", 1)))
    for name, cpu, ratio in (("ours", ours, f"{theirs / ours:.0f}"), ("text", theirs, "")):
        row = {"what": "ids", "way": name, "s of CPU": cpu, "tokens/s": codes.size / cpu, "ratio by CPU time": ratio}
        rows.append(row)
    print_table(f"{codebooks} codebooks of {size}; the same ids by both ways: {'yes' if same else 'NO'}", rows)
    keep({"rows": rows, "same": same, "seconds": time.perf_counter() - started}, json_file)
