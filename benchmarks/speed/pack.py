"""Speed of ``codectok llm pack``: tokens a second from a store on disk to a dataset on disk, one core.

``OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false python -m benchmarks.speed pack`` (``--quick`` for a look)

The store is made first, of random codes and texts; its time does not count. The peer is a transformers tokenizer that
is given the codes pasted together as text, as most recipes do: the ids only, with no packing and nothing written.
"""

from __future__ import annotations

import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from codectok.cli.console import print_table

from .turns import json_option, keep

PASTED = 300
"""Utterances that the peer is given: it is slow."""
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "rain", "falls"]


def make_store(folder: Path, utterances: int, frames: int, codebooks: int, seed: int = 0) -> Any:
    """A parquet store of random utterances of about so many frames, and a table of texts beside it."""
    from codectok.store import StoreInfo, StoreOptions, open_store
    from codectok.store.writer import StoreWriter

    rng = np.random.default_rng(seed)
    info = StoreInfo("parquet", "random", "f" * 32, 16000, Fraction(25), (1024,) * codebooks, StoreOptions(), "0" * 64)
    lengths = rng.integers(frames // 2, frames * 3 // 2 + 1, utterances)
    shards = range(0, utterances, 1000)
    writer = StoreWriter(folder / "store", info, len(shards))
    lines = ["id\ttext\n"]
    for number, start in enumerate(shards):
        rows = []
        for i in range(start, min(start + 1000, utterances)):
            codes = torch.from_numpy(rng.integers(0, 1024, (codebooks, lengths[i])))
            rows.append((f"u{i}", info.tokens(codes, int(lengths[i]) * 640, None)))
            lines.append(f"u{i}\t{' '.join(rng.choice(WORDS, max(lengths[i] // 10, 1)))}\n")
        writer.write_shard(number, rows, [], str(number))
    writer.close({})
    (folder / "texts.tsv").write_text("".join(lines))
    return open_store(folder / "store")


def make_model(folder: Path, sizes: tuple[int, ...], transform: Any = None) -> None:
    """A small byte-level BPE tokenizer and the vocabulary of the store's codes, or of merged units."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from codectok.llm import AudioVocab, add_to
    from codectok.llm.vocab.text_tokenizer import next_id

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    inner.train_from_iterator([" ".join(WORDS)] * 10, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")
    vocab = AudioVocab.create(sizes, next_id(tokenizer), tokenizer_fingerprint="f" * 32, transform=transform)
    add_to(tokenizer, vocab)
    tokenizer.save_pretrained(folder)
    vocab.save(folder)


def pasted(store: Any, model: Path, utterances: int) -> tuple[int, float]:
    """Tokens, and seconds of CPU, of what scripts do: codes pasted together as text, which is then tokenized."""
    from transformers import AutoTokenizer

    from codectok.llm import AudioVocab

    vocab, tokenizer = AudioVocab.load(model), AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    started, tokens = time.process_time(), 0
    for number in range(utterances):
        codes = store[number].codes
        ids = vocab.ids(codes).T.reshape(-1).tolist()
        tokens += len(tokenizer("".join(map(vocab.token, ids))).input_ids)
    return tokens, time.process_time() - started


@click.command(help=__doc__)
@click.option("--utterances", type=click.IntRange(min=1), default=20000, show_default=True)
@click.option("--frames", type=click.IntRange(min=2), default=250, show_default=True, help="Mean of an utterance.")
@click.option("--codebooks", type=click.IntRange(min=1), default=4, show_default=True)
@click.option("--task", default="asr", show_default=True)
@click.option("--quick", is_flag=True, help="2,000 utterances.")
@json_option
def main(utterances: int, frames: int, codebooks: int, task: str, quick: bool, json_file: Path | None) -> None:
    """See the module."""
    from codectok.llm.pack.dataset import PackOptions
    from codectok.llm.pack.pack_store import PackJob, pack_store

    torch.set_num_threads(1)
    utterances = min(utterances, 2000) if quick else utterances
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = make_store(folder, utterances, frames, codebooks)
        (folder / "model").mkdir()
        make_model(folder / "model", (1024,) * codebooks)
        cpu = time.process_time()
        report = pack_store(
            store, folder / "out", folder / "model", PackJob(task=task), PackOptions(), texts=folder / "texts.tsv"
        )
        cpu = time.process_time() - cpu
        size = sum(path.stat().st_size for path in (folder / "out").rglob("*.parquet"))
        tokens, seconds = pasted(store, folder / "model", min(utterances, PASTED))
    rows: list[dict[str, Any]] = [
        {"way": "ours, to a dataset on disk", "tokens": report.tokens, "tokens/s of CPU": report.tokens / cpu},
        {"way": "pasted text, ids only", "tokens": tokens, "tokens/s of CPU": tokens / seconds},
    ]
    rows[0]["ratio"] = rows[0]["tokens/s of CPU"] / rows[1]["tokens/s of CPU"]
    rows[0] |= {"tokens/s": report.tokens_per_second, "fill": report.fill, "bytes/token": size / report.tokens}
    print_table(f"Packing {task}, {utterances} utterances, 1 thread", [{**dict.fromkeys(rows[0]), **r} for r in rows])
    keep({"rows": rows}, json_file)
