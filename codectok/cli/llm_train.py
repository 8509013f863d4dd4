"""``codectok llm train``: stages of training on a packed dataset."""

from __future__ import annotations

import os
from pathlib import Path

import click

from codectok.cli.console import handle_errors
from codectok.cli.explain import explain_option, json_option, needed, print_settings
from codectok.cli.help import command
from codectok.extras import need


@command()
@click.argument("dataset", type=click.Path(exists=True, file_okay=False))
@click.argument("model")
@click.argument("settings", nargs=-1, required=True, metavar="STAGES.YAML [KEY=VALUE]...")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the trained model.  [required]")
@explain_option
@json_option
@handle_errors
def train(
    dataset: str, model: str, settings: tuple[str, ...], output: Path | None, explain: bool, as_json: bool
) -> None:
    """Train MODEL, which `codectok llm extend` wrote, on DATASET, which `codectok llm pack` wrote.

    The file has settings and a list of stages, each with what moves (adapter, new-rows, lora, lora+new-rows, all),
    steps and learning_rate. KEY=VALUE changes one, such as batch=4 or stages.0.steps=100. A run that was interrupted
    goes on with the same command. Several processes: torchrun --nproc-per-node N -m codectok llm train ...

    \b
    Examples:
      codectok llm train data/ extended stages.yaml -o trained
      codectok llm train data/ extended stages.yaml batch=4 --explain
    """
    from codectok.llm.training.settings import explain_settings, read_settings

    if explain:
        print_settings(explain_settings(settings), as_json)
        return
    output = needed(output, "-o")
    chosen = read_settings(settings)
    lora = ["peft"] if any("lora" in stage.parts for stage in chosen.stages) else []
    need("codectok llm train needs", "llm", "accelerate", "datasets", "transformers", "tokenizers", *lora)
    from codectok.llm.model.folder import quiet
    from codectok.llm.training.run import train as run

    quiet()
    folder = run(dataset, model, output, chosen, report=lambda line: click.echo(line, err=True))
    if os.environ.get("RANK", "0") == "0":  # of torchrun
        click.echo(f"wrote {folder}")
