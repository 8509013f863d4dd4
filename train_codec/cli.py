"""`codectok train`: run a recipe."""

from __future__ import annotations

import os
from contextlib import nullcontext

import click

from codectok.cli.common import handle_errors
from codectok.files.folder_lock import FolderLock


@click.command()
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@handle_errors
def train(recipe: str, overrides: tuple[str, ...]) -> None:
    """Train a codec, units or a unit vocoder from a recipe.

    RECIPE is a YAML file or a packaged name (tiny, speech-16k, encodec-24k, mimi-24k, dac-16k, units-16k,
    unit-vocoder). KEY=VALUE changes one
    of its values, such as data=FOLDER or out=FOLDER. A run folder that holds a checkpoint is resumed. Several
    processes: torchrun --nproc-per-node N -m codectok train ...

    The run folder gets checkpoint.pt (everything needed to resume), log.jsonl, tensorboard/, and model/ with the
    averaged weights, a model folder that `--tokenizer` takes.
    """
    from train_codec.loop import train as run
    from train_codec.recipe import load_recipe, read_values
    from train_codec.trainer import Trainer

    if "task" in (values := read_values(recipe, list(overrides))):
        from train_codec.student.run import run_task

        click.echo(f"wrote {run_task(values)}")
        return
    loaded = load_recipe(recipe, list(overrides))
    first = os.environ.get("RANK", "0") == "0"  # of torchrun
    # From before the audio is decoded, which may take long, to the model folder.
    with FolderLock(loaded.run.out) if first else nullcontext():
        trainer = Trainer(loaded)
        run(trainer)
        folder = trainer.export()
        if trainer.accelerator.is_main_process:
            click.echo(f"wrote {folder}")
        trainer.accelerator.end_training()
