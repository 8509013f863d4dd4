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
@click.argument("dataset", type=click.Path(exists=True))
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

    With input=continuous, DATASET is a manifest of audio, whose label target=LABEL any MODEL learns to say: the
    features of encoder=NAME@layer=L go through projector=P. input=discrete, quantized, none and shuffled are the same
    run with other audio, or none.

    The file has settings and a list of stages, each with what moves (adapter, new-rows, lora, lora+new-rows, all),
    steps and learning_rate. KEY=VALUE changes one, such as batch=4 or stages.0.steps=100. A run that was interrupted
    goes on with the same command. Several processes: torchrun --nproc-per-node N -m codectok llm train ...

    \b
    Examples:
      codectok llm train data/ extended stages.yaml -o trained
      codectok llm train data/ extended stages.yaml batch=4 --explain
      codectok llm train clips.tsv llm stages.yaml input=continuous -o hears
    """
    from codectok.llm.training.settings import explain_settings, read_settings

    need("codectok llm train needs", "llm", "transformers", "tokenizers")
    from codectok.llm.training.audio_settings import names_audio_input

    if names_audio_input(settings):
        _train_audio(dataset, model, settings, output, explain, as_json)
        return
    if not explain and not Path(dataset).is_dir():
        raise click.UsageError(
            f"{dataset} is no folder that `llm pack` wrote; of a manifest of audio, give input=... too"
        )
    if explain:
        print_settings(explain_settings(settings), as_json)
        return
    output = needed(output, "-o")
    chosen = read_settings(settings)
    lora = ["peft"] if any("lora" in stage.parts for stage in chosen.stages) else []
    need("codectok llm train needs", "llm", "accelerate", "datasets", "transformers", "tokenizers", *lora)
    from codectok.llm.model.folder import quiet
    from codectok.llm.training.run import train as one_stream
    from codectok.llm.training.stream_run import has_streams, train_streams

    quiet()
    run = train_streams if has_streams(dataset, model) else one_stream
    folder = run(dataset, model, output, chosen, report=lambda line: click.echo(line, err=True))
    if os.environ.get("RANK", "0") == "0":  # of torchrun
        click.echo(f"wrote {folder}")


def _train_audio(
    manifest: str, model: str, settings: tuple[str, ...], output: Path | None, explain: bool, as_json: bool
) -> None:
    """A run on a manifest."""
    from codectok.llm.training.audio_settings import explain_audio_settings, read_audio_settings

    if explain:
        print_settings(explain_audio_settings(settings), as_json)
        return
    output = needed(output, "-o")
    chosen = read_audio_settings(settings)
    lora = chosen.audio.encoder_train == "lora" or any("lora" in stage.parts for stage in chosen.run.stages)
    need("codectok llm train needs", "llm", "accelerate", *(["peft"] if lora else []))
    from codectok.llm.model.folder import quiet
    from codectok.llm.training.audio_run import train_audio

    quiet()
    folder = train_audio(manifest, model, output, chosen, report=lambda line: click.echo(line, err=True))
    if os.environ.get("RANK", "0") == "0":  # of torchrun
        click.echo(f"wrote {folder}")
