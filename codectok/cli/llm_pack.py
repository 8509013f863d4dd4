"""``codectok llm pack``: a token store as a dataset of packed training sequences."""

from __future__ import annotations

from pathlib import Path

import click

from codectok.cli.console import finish, handle_errors, print_json, print_table
from codectok.cli.help import command
from codectok.cli.progress import progress

PATH = click.Path(path_type=Path)


@command()
@click.argument("store", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="Folder of the dataset.")
@click.option("--model", "--vocab", "model", required=True, type=PATH, help="Folder with audio_vocab.json.")
@click.option("--tokenizer", metavar="T", help="Text tokenizer.  [default: the one in that folder]")
@click.option("--task", "task_name", default="asr", show_default=True, metavar="T", help="speech, asr, tts, chat, ...")
@click.option("--text", type=PATH, help="Manifest or table with the texts, by id.  [default: the labels of STORE]")
@click.option("--target", type=PATH, metavar="STORE", help="Store of the target speech, under the same ids.")
@click.option(
    "--pattern",
    default="flatten",
    show_default=True,
    metavar="P",
    help="One stream: flatten, sections. Several: delay, depth, valle, grouped. Or JSON.",
)
@click.option("--text-stream", is_flag=True, help="With several streams: the text of the speech is one of them.")
@click.option(
    "--length", type=click.IntRange(min=2), metavar="N", default=4096, show_default=True, help="Tokens a row."
)
@click.option(
    "--window",
    type=click.IntRange(min=1),
    metavar="N",
    default=4096,
    show_default=True,
    help="Sequences packed together.",
)
@click.option("--cut", is_flag=True, help="Fill rows by cutting sequences, between frames.")
@click.option(
    "--ratio",
    default="13:26",
    show_default=True,
    help="Text tokens and frames, for interleaved (to learn from: such sequences have no markers to generate by).",
)
@click.option(
    "--group", type=click.IntRange(min=1), metavar="N", default=4, show_default=True, help="Utterances a sequence."
)
@click.option("--prompt-seconds", type=click.FloatRange(min=0), metavar="S", help="Given, for speech-continuation.")
@click.option(
    "--time-weight",
    type=click.FloatRange(min=0),
    metavar="X",
    default=1.0,
    show_default=True,
    help="Of times in captions.",
)
@click.option("--codebook-weights", metavar="W", help="Loss weights of the codebooks: 4,1,1,1")
@click.option("--seed", type=int, metavar="N", default=0, show_default=True, help="Of what a task draws.")
@click.option("--overwrite", is_flag=True, help="Replace the dataset if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@handle_errors
def pack(
    store: Path,
    output: Path,
    model: Path,
    tokenizer: str | None,
    task_name: str,
    text: Path | None,
    target: Path | None,
    pattern: str,
    text_stream: bool,
    length: int,
    window: int,
    cut: bool,
    ratio: str,
    group: int,
    prompt_seconds: float | None,
    time_weight: float,
    codebook_weights: str | None,
    seed: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write the utterances of STORE as training sequences of a task, packed into rows, in parquet.

    Exit status 1 if items were left out: dropped.jsonl in the dataset lists each with its reason.

    \b
    Examples:
      codectok llm pack store -o data/asr --model extended --task asr
      codectok llm pack store -o data/tts --model extended --task tts
      codectok llm pack store -o d --model extended --task tts --pattern delay
    """
    from dataclasses import asdict

    from codectok.llm.pack.dataset import PackOptions
    from codectok.llm.pack.pack_store import PackJob, pack_store
    from codectok.llm.sequence.interleave import read_ratio
    from codectok.llm.vocab.audio_vocab import AudioVocab
    from codectok.store import open_store

    opened, vocab = open_store(store), AudioVocab.load(model)
    if opened.info.options.dedup and (vocab.transform is None or not vocab.transform.dedup):
        click.echo(
            f"{store} has its duplicates merged, {model} says frames: they are undone; a model of codectok llm "
            "extend --dedup says them merged",
            err=True,
        )
    job = PackJob(
        task=task_name,
        pattern=pattern,
        text_stream=text_stream,
        codebook_weights=None if codebook_weights is None else tuple(codebook_weights.split(",")),
        group=group,
        style={
            "ratio": read_ratio(ratio), "prompt_seconds": prompt_seconds, "time_weight": time_weight, "seed": seed,
        },
    )  # fmt: skip
    with progress(len(opened), "packing") as bar:
        report = pack_store(
            opened,
            output,
            model,
            job,
            PackOptions(length, window, cut),
            tokenizer=tokenizer,
            texts=text,
            target=None if target is None else open_store(target),
            overwrite=overwrite,
            progress=bar.advance,
        )
    plain = asdict(report)
    if as_json:
        print_json({"dataset": str(output), **plain})
    else:
        dropped = plain.pop("dropped")
        print_table(f"wrote {output}", [{"": key.replace("_", " "), "value": value} for key, value in plain.items()])
        print_table("left out", [{"reason": reason, "items": n} for reason, n in dropped.items()]) if dropped else None
    finish(report.items, report.num_dropped)
