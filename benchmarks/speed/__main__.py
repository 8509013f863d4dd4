"""``python -m benchmarks.speed [JOB]``: one job with its own options, or a quick look at all of them."""

from __future__ import annotations

import subprocess
import sys

import click

from codectok.cli.lazy import LazyGroup

JOBS = {
    "codec": (f"{__package__}.codec:main", "Encoding and decoding: EnCodec, Mimi, ours; peer transformers."),
    "units": (
        f"{__package__}.units:main",
        "Units of a HuBERT-base; peer transformers and scikit-learn.",
    ),
    "kmeans": (f"{__package__}.kmeans:main", "Fitting and assignment; peers MiniBatchKMeans and the bare product."),
    "bpe": (f"{__package__}.bpe:main", "BPE over units; peers tokenizers and sentencepiece."),
    "corpus": (f"{__package__}.corpus:main", "A corpus into a store; peer a straight loop, file by file."),
    "vocabulary": (f"{__package__}.vocabulary:main", "Audio tokens into a text tokenizer; peer transformers."),
    "pack": (f"{__package__}.pack:main", "Training data of a store; peer pasted text."),
    "pack-units": (f"{__package__}.pack_units:main", "Training data of merged units; peer plain frames."),
}


@click.group(cls=LazyGroup, table=JOBS, invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Speed of every job against named peers. Without JOB, all of them by their --quick, one after the other."""
    if context.invoked_subcommand is not None:
        return
    failed = []
    for job in JOBS:
        click.echo(f"\n$ python -m benchmarks.speed {job} --quick")
        # A process each: one job's threads, caches and memory are not the next one's.
        if subprocess.run([sys.executable, "-m", str(__package__), job, "--quick"]).returncode:
            failed.append(job)
    if failed:
        raise click.ClickException(f"these ended with an error: {', '.join(failed)}")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.speed")
