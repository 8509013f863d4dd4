"""`codectok train`: run a recipe."""

from __future__ import annotations

import os
from contextlib import nullcontext

import click

from codectok.cli.console import handle_errors
from codectok.cli.explain import explain_option, json_option, print_settings
from codectok.cli.help import command
from codectok.extras import need
from codectok.files.folder_lock import FolderLock


@command()
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@explain_option
@json_option
@handle_errors
def train(recipe: str, overrides: tuple[str, ...], explain: bool, as_json: bool) -> None:
    """Train a codec, units or a unit vocoder from a recipe.

    RECIPE is a YAML file or a packaged name (tiny, speech-16k, encodec-24k, mimi-24k, dac-16k, units-16k,
    unit-vocoder). KEY=VALUE changes one
    of its values, such as data=FOLDER or out=FOLDER. A run folder that holds a checkpoint is resumed. Several
    processes: torchrun --nproc-per-node N -m codectok train ...

    The run folder gets checkpoint.pt (everything needed to resume), log.jsonl, tensorboard/, and model/ with the
    averaged weights, a model folder that `--tokenizer` takes.

    \b
    Examples:
      codectok train tiny --explain
      codectok train speech-16k data=corpus/ out=runs/speech steps=20000
    """
    from train_codec.recipe import Recipe, build_recipe, explain_recipe, read_recipe

    values = read_recipe(recipe, overrides)
    if explain:
        print_settings(explain_recipe(values), as_json)
        return
    built = build_recipe(values)
    if not isinstance(built, Recipe):
        from train_codec.student.run import run_task

        click.echo(f"wrote {run_task(built)}")
        return
    need("codectok train needs", "train", "accelerate")
    if built.run.tensorboard:
        need("plots while training need", "train", "tensorboard", otherwise="train with tensorboard=false")
    from train_codec.loop import train as run
    from train_codec.trainer import Trainer

    first = os.environ.get("RANK", "0") == "0"  # of torchrun
    # From before the audio is decoded, which may take long, to the model folder.
    with FolderLock(built.run.out) if first else nullcontext():
        trainer = Trainer(built)
        run(trainer)
        folder = trainer.export()
        if trainer.accelerator.is_main_process:
            click.echo(f"wrote {folder}")
        trainer.accelerator.end_training()
