"""`codectok train`: run a recipe."""

from __future__ import annotations

import click

from codectok.cli.common import handle_errors


@click.command(help="Train a codec from a recipe: RECIPE [key=value ...].")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@handle_errors
def train(recipe: str, overrides: tuple[str, ...]) -> None:
    """RECIPE is a YAML file or a packaged name (tiny, speech-16k); a run folder that exists is resumed.

    The run folder gets checkpoint.pt (everything needed to resume), log.jsonl, and model/ with the averaged weights,
    a model folder that `--tokenizer` takes.
    """
    from train_codec.recipe import load_recipe
    from train_codec.trainer import Trainer

    trainer = Trainer(load_recipe(recipe, list(overrides)))
    trainer.run()
    click.echo(f"wrote {trainer.export()}")
