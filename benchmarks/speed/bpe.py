"""Speed of BPE over units against the libraries that do it over text, in one run with interleaved repeats.

``python -m benchmarks.speed bpe`` (``--tokens STORE`` for real units, ``--json FILE`` to keep the figures)

M units/s is millions of units encoded a second: of wall clock, and of processor time summed over threads, which is the
rate of one core and what to compare on a busy machine. Medians over the repeats. tokenizers has the very same merges,
and its ids are compared with ours; sentencepiece trains its own (BPE, no normalisation) on the same data. Both get
their text ready-made. All of it is in memory: lists of arrays (ours) or of strings to lists of ids.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from codectok.cli.console import handle_errors, print_table
from codectok.transforms.bpe_huggingface import to_text
from codectok.transforms.unit_bpe import UnitBPE

from .turns import json_option, keep

Encode = Callable[[], Sequence[Any]]


def unit_like(num_symbols: int, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """About ``count`` units in utterances of 500 before deduplication: a Markov chain with 12 likely followers each."""
    share = np.array([0.3, 0.2, 0.1, 0.08, 0.06, 0.05, 0.04, 0.04, 0.04, 0.03, 0.03, 0.03])
    followers = rng.integers(0, num_symbols, (num_symbols, len(share)))
    chains = max(1, count // 500)
    units = np.empty((chains, 500), np.int64)
    now = rng.integers(0, num_symbols, chains)
    for step in range(500):
        likely = followers[now, rng.choice(len(share), chains, p=share)]
        now = np.where(rng.random(chains) < 0.9, likely, rng.integers(0, num_symbols, chains))
        units[:, step] = now
    return [u[np.flatnonzero(np.diff(u, prepend=-1))] for u in units]


def stored(folder: Path) -> tuple[list[np.ndarray], int]:
    """Deduplicated codes of the first codebook of a store, and its size."""
    from codectok.store import open_store

    store = open_store(folder)
    return [t.first(1).expand().dedup().codes[0].numpy() for _, t in store], store.info.codebook_sizes[0]


def peers(bpe: UnitBPE, texts: list[str]) -> dict[str, Encode]:
    """The libraries' batch calls."""
    backend = bpe.to_hf().backend_tokenizer
    found: dict[str, Encode] = {
        "tokenizers encode_batch": lambda: [e.ids for e in backend.encode_batch(texts)],
        "tokenizers encode_batch_fast": lambda: [e.ids for e in backend.encode_batch_fast(texts)],
    }
    try:
        import sentencepiece
    except ImportError:
        return found
    with tempfile.TemporaryDirectory() as folder:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_prefix=f"{folder}/m", vocab_size=bpe.vocab_size, model_type="bpe",
            character_coverage=1.0, normalization_rule_name="identity", add_dummy_prefix=False,
            max_sentence_length=2**20, max_sentencepiece_length=64, hard_vocab_limit=False, num_threads=1,
            minloglevel=2,
        )  # fmt: skip
        model = sentencepiece.SentencePieceProcessor(model_file=f"{folder}/m.model")
    found["sentencepiece"] = lambda: model.encode(texts, out_type=int, num_threads=1)
    return found


def measure(calls: dict[str, Encode], units: int, repeats: int) -> list[dict[str, Any]]:
    """A row for each of ``calls``, the first of which is ours."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    sizes: dict[str, int] = {}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            ids = call()
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
            sizes[name] = sum(map(len, ids))
            del ids
    rows: list[dict[str, Any]] = []
    for name, found in times.items():
        wall, cpu = (statistics.median(t) / 1e-6 for t in zip(*found[1:], strict=True))  # the first warms up
        rows.append({"what": name, "M units/s": units / wall, "M units/s of CPU": units / cpu})
        rows[-1] |= {"units/token": units / sizes[name], "ours to it": rows[0]["M units/s of CPU"] / (units / cpu)}
    return rows


@click.command(help=__doc__)
@click.option("--tokens", type=click.Path(path_type=Path), help="Token store to take units from; default made up.")
@click.option("--units", default=2_000_000, show_default=True, help="How many to make up.")
@click.option("--symbols", default=500, show_default=True, help="Codes of the made-up codebook.")
@click.option("--vocab-size", default=6000, show_default=True)
@click.option("--one", is_flag=True, help="Train on all of them as one sequence, and stop there.")
@click.option("--repeats", default=5, show_default=True)
@click.option("--quick", is_flag=True, help="300,000 units, 2 repeats.")
@json_option
@handle_errors
def main(
    tokens: Path | None,
    units: int,
    symbols: int,
    vocab_size: int,
    one: bool,
    repeats: int,
    quick: bool,
    json_file: Path | None,
) -> None:
    """See the module."""
    from kmeans_units.bpe import train_merges

    if quick:
        units, repeats = 300_000, 2
    rng = np.random.default_rng(0)
    sequences, symbols = stored(tokens) if tokens else (unit_like(symbols, units, rng), symbols)
    if one:
        sequences = [np.concatenate(sequences)]
    started = time.process_time()
    merges = train_merges(sequences, symbols, vocab_size)
    trained = time.process_time() - started
    if one:
        rows: list[dict[str, Any]] = [{"units": len(sequences[0]), "vocabulary": vocab_size, "trained in, s": trained}]
        print_table("all units in one sequence, seconds of CPU", rows)
        keep({"rows": rows}, json_file)
        return
    bpe = UnitBPE((symbols,), merges, tokenizer_fingerprint="")
    texts = [to_text(s) for s in sequences]
    ids = bpe.encode_ids(sequences)
    calls: dict[str, Encode] = {"ours": lambda: bpe.encode_ids(sequences)}
    calls |= peers(bpe, texts)
    same = [i.tolist() for i in ids] == list(calls["tokenizers encode_batch"]())
    calls["ours, one by one"] = lambda: [bpe.encode_ids([s])[0] for s in sequences]
    calls["ours, decoding"] = lambda: (bpe.decode_ids(ids), ids)[1]
    total = sum(map(len, sequences))
    rows = measure(calls, total, repeats)
    title = (
        f"{total} units of {symbols} in {len(sequences)} sequences, vocabulary {vocab_size}; trained in {trained:.1f} s"
    )
    print_table(f"{title} of CPU; ids equal to those of tokenizers: {'yes' if same else 'NO'}", rows)
    keep({"title": title, "equal": same, "rows": rows}, json_file)
