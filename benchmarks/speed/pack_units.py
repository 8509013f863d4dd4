"""Speed of packing merged units: a store of BPE ids and labels against the same utterances as plain frames.

``OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false python -m benchmarks.speed pack-units`` (``--quick`` for a look)

The stores are made first, of units as a Markov chain with runs gives them and of random texts; their time does not
count. Plain packing takes its texts from a table beside, as it did before stores had labels. A BPE makes sequences
several times shorter, so utterances/s and tokens/s say different things: both are given.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from codectok.cli.console import print_table

from .bpe import unit_like
from .pack import WORDS, make_model
from .turns import json_option, keep, spread, take_turns

SIZE, MERGED = 500, 2000
"""Units, and the vocabulary of the BPE over them."""


def make_stores(folder: Path, utterances: int, seed: int = 0) -> Any:
    """``plain`` of frames, ``merged`` of BPE ids with labels, ``texts.tsv``; the transform of the second."""
    from fractions import Fraction

    from codectok.store import StoreInfo, StoreOptions, open_store
    from codectok.store.convert import convert_store
    from codectok.store.writer import StoreWriter
    from codectok.transforms.unit_transform import UnitTransform
    from kmeans_units.bpe import train_bpe

    rng = np.random.default_rng(seed)
    info = StoreInfo("parquet", "random", "f" * 32, 16000, Fraction(50), (SIZE,), StoreOptions(), "0" * 64)
    many = []
    for units in unit_like(SIZE, utterances * 500, rng):
        codes = torch.from_numpy(np.repeat(units[:200], rng.integers(1, 4, len(units[:200]))))[None]
        many.append(info.tokens(codes, codes.shape[1] * 320, None))
    shards = range(0, len(many), 1000)
    with StoreWriter(folder / "plain", info, len(shards)) as writer:
        for number, start in enumerate(shards):
            rows = [(f"u{i}", many[i]) for i in range(start, min(start + 1000, len(many)))]
            writer.write_shard(number, rows, [], str(number))
        writer.close({})
    lines = [f"u{i}\t{' '.join(rng.choice(WORDS, t.num_frames // 10))}\n" for i, t in enumerate(many)]
    (folder / "texts.tsv").write_text("".join(["id\ttext\n", *lines]))
    bpe = train_bpe(many[:500], MERGED)
    bpe.save(folder / "bpe.json")
    convert_store(open_store(folder / "plain"), folder / "merged", dedup=True, bpe=bpe, labels=folder / "texts.tsv")
    return UnitTransform.of(info.fingerprint, (SIZE,), dedup=True, bpe=bpe, durations=False)


@click.command(help=__doc__)
@click.option("--utterances", type=click.IntRange(min=1), default=20000, show_default=True)
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--task", default="asr", show_default=True)
@click.option("--quick", is_flag=True, help="1,000 utterances, 3 repeats.")
@json_option
def main(utterances: int, repeats: int, task: str, quick: bool, json_file: Path | None) -> None:
    """See the module."""
    from codectok.llm.pack.dataset import PackOptions
    from codectok.llm.pack.pack_store import PackJob, pack_store
    from codectok.store import open_store

    torch.set_num_threads(1)
    utterances, repeats = (min(utterances, 1000), min(repeats, 3)) if quick else (utterances, repeats)
    reports: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        transform = make_stores(folder, utterances)
        for model, said in (("plain", None), ("merged", transform)):
            (folder / f"model-{model}").mkdir()
            make_model(folder / f"model-{model}", said.sizes if said else (SIZE,), transform=said)

        def pack(which: str) -> None:
            shutil.rmtree(folder / "out", ignore_errors=True)
            texts = folder / "texts.tsv" if which == "plain" else None
            job, options = PackJob(task=task), PackOptions()
            store, model = open_store(folder / which), folder / f"model-{which}"
            reports[which] = pack_store(store, folder / "out", model, job, options, texts=texts)

        times = take_turns({which: lambda which=which: pack(which) for which in ("plain", "merged")}, repeats)  # type: ignore[misc]
    rows: list[dict[str, Any]] = []
    for which, label in (("plain", "frames, texts beside"), ("merged", "BPE ids, labels in the store")):
        cpu = statistics.median(seconds for _, seconds in times[which])
        tokens = reports[which].tokens
        rows.append({"way": label, "utterances/s of CPU": utterances / cpu, "tokens/s of CPU": tokens / cpu})
    pairs = list(zip(times["plain"], times["merged"], strict=True))
    share = reports["merged"].tokens / reports["plain"].tokens
    rows[1]["utterances/s, ratio"] = spread([plain[1] / merged[1] for plain, merged in pairs])
    rows[1]["tokens/s, ratio"] = spread([plain[1] / merged[1] * share for plain, merged in pairs])
    print_table(f"Packing {task}, {utterances} utterances, 1 thread", [{**dict.fromkeys(rows[1]), **r} for r in rows])
    keep({"rows": rows}, json_file)
