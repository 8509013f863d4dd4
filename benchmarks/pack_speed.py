"""Speed of ``codectok llm pack``: tokens a second from a store on disk to a dataset on disk, one core.

    OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false python -m benchmarks.pack_speed [--task asr] [--utterances 20000]

The store is made first, of random codes and texts; its time does not count.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

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


def make_model(folder: Path, codebooks: int) -> None:
    """A small byte-level BPE tokenizer and the vocabulary of the store's codes."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from codectok.llm import AudioVocab, add_to
    from codectok.llm.add import next_id

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    inner.train_from_iterator([" ".join(WORDS)] * 10, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")
    vocab = AudioVocab.create((1024,) * codebooks, next_id(tokenizer), tokenizer_fingerprint="f" * 32)
    add_to(tokenizer, vocab)
    tokenizer.save_pretrained(folder)
    vocab.save(folder)


def main() -> None:
    """Make a store, pack it, print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--utterances", type=int, default=20000)
    parser.add_argument("--frames", type=int, default=250, help="mean of an utterance")
    parser.add_argument("--codebooks", type=int, default=4)
    parser.add_argument("--task", default="asr")
    parser.add_argument("--weights", action="store_true", help="write loss weights")
    parser.add_argument("--cut", action="store_true", help="fill rows by cutting")
    options = parser.parse_args()
    torch.set_num_threads(1)
    from codectok.llm.dataset import PackOptions
    from codectok.llm.pack_store import Job, pack_store

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = make_store(folder, options.utterances, options.frames, options.codebooks)
        (folder / "model").mkdir()
        make_model(folder / "model", options.codebooks)
        job = Job(task=options.task, codebook_weights=(1,) * options.codebooks if options.weights else None)
        cpu = time.process_time()
        report = pack_store(
            store, folder / "out", folder / "model", job, PackOptions(cut=options.cut), texts=folder / "texts.tsv"
        )
        cpu = time.process_time() - cpu
        size = sum(path.stat().st_size for path in (folder / "out").rglob("*.parquet"))
    print(
        json.dumps(
            {
                **vars(options),
                "tokens": report.tokens,
                "rows": report.rows,
                "fill": round(report.fill, 4),
                "seconds": round(report.seconds, 2),
                "cpu_seconds": round(cpu, 2),
                "tokens_per_second": round(report.tokens_per_second),
                "tokens_per_cpu_second": round(report.tokens / cpu),
                "bytes_per_token": round(size / report.tokens, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
