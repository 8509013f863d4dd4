"""``codectok llm generate``: a prompt, or each of a folder, continued in text and sound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from codectok.cli.console import describe, device_option, finish, handle_errors
from codectok.cli.help import command
from codectok.cli.jobs import give_up
from codectok.cli.paths import FileJob, expand, plan
from codectok.errors import CodectokError
from codectok.extras import need
from codectok.stops import keeping

if TYPE_CHECKING:
    from codectok.cli.llm_prompts import Answers


@command()
@click.argument("model")
@click.option("--prompt", default="", help="Text to continue. Audio tokens written in it stay text.")
@click.option("--audio", type=click.Path(exists=True), help="Audio file, after the text; or a folder, each in turn.")
@click.option("--task", metavar="T", help="Arrange both as `llm pack` does for this task: asr, tts, ...")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Speak: a .wav file (or .ctk), or a folder.")
@click.option("--stream", is_flag=True, help="Write the audio as it is said: to -o a.wav, a.pcm, or - for stdout.")
@click.option("--tokenizer", metavar="T", help="Audio tokenizer.  [default: the one it was extended with]")
@click.option(
    "--max-tokens", type=click.IntRange(min=1), metavar="N", default=1024, show_default=True, help="New ids at most."
)
@click.option("--max-seconds", type=click.FloatRange(min=0, min_open=True), metavar="X", help="Of each audio, at most.")
@click.option(
    "--temperature", type=click.FloatRange(min=0), metavar="X", default=0.0, show_default=True, help="0: the likeliest."
)
@click.option(
    "--top-p",
    type=click.FloatRange(0, 1),
    metavar="X",
    default=1.0,
    show_default=True,
    help="Share that is drawn from.",
)
@click.option("--seed", type=int, metavar="N", default=0, show_default=True, help="Of the draws.")
@click.option("--unconstrained", is_flag=True, help="Let the model say what does not fit; it is dropped.")
@device_option
@handle_errors
def generate(
    model: str,
    prompt: str,
    audio: str | None,
    task: str | None,
    output: Path | None,
    stream: bool,
    tokenizer: str | None,
    max_tokens: int,
    max_seconds: float | None,
    temperature: float,
    top_p: float,
    seed: int,
    unconstrained: bool,
    device: str,
) -> None:
    """Continue a prompt with MODEL, a folder with audio tokens: text goes to stdout, and with -o it speaks.

    With a folder for --audio, each file in it is a prompt: with -o FOLDER its answer is spoken under the same name,
    else a line of stdout has the name, a tab and the text. A MODEL trained with input=... says what it was trained to
    say of the audio.

    \b
    Examples:
      codectok llm generate trained --task asr --audio a.flac
      codectok llm generate trained --task tts --prompt 'Good morning.' -o a.wav
      codectok llm generate trained --task asr --audio clips
      codectok llm generate trained --task tts --prompt Hello. --stream -o a.wav
    """
    need("codectok llm generate needs", "llm", "transformers", "tokenizers")
    from codectok.cli.llm_prompts import Answers
    from codectok.cli.llm_spoken import check_output, stream_answer, write_answer
    from codectok.llm.continuous.audio_input import FILE as HEARS
    from codectok.opening import check_device

    folder = audio is not None and Path(audio).is_dir()
    check_output(output, stream, folder)
    if max_seconds is not None and output is None and audio is None:
        raise click.UsageError("--max-seconds goes with -o or --audio: limit text and codes by --max-tokens")
    if top_p != 1 and temperature == 0:
        raise click.UsageError("--top-p draws: give a --temperature above 0 with it")
    check_device(device)
    draw = {} if temperature == 0 else {"temperature": temperature, "top_p": top_p}
    if (Path(model) / HEARS).is_file():
        _listen(model, audio, prompt, tokenizer, device, max_tokens=max_tokens, seed=seed, draw=draw)
        return
    jobs = _jobs(audio, output) if folder and audio is not None else []
    answers = Answers.load(
        model,
        tokenizer,
        device,
        prompt=prompt,
        task=task,
        speak=output is not None,
        hear=audio is not None,
        max_seconds=max_seconds,
        max_new_tokens=max_tokens,
        constrain=not unconstrained,
        seed=seed,
        draw=draw,
        **({"chunk_seconds": 0.0} if stream else {}),
    )
    if stream:
        answers.check_stream()
    if folder:
        _each(answers, jobs, output is not None)
    if stream and output is not None:
        stream_answer(answers.events(audio, _tell_dropped), output)
        return
    seconds = write_answer(answers.events(audio, _tell_dropped), output, answers.tok)
    if output is not None:
        click.echo(f"wrote {output}, {seconds:.2f} s")


def _listen(model: str, audio: str | None, prompt: str, tokenizer: str | None, device: str, **options: Any) -> None:
    """A model that hears by a projector: it says text."""
    from codectok.cli.llm_listen import listen

    given = click.get_current_context().params
    unused = [name for name in ("task", "output", "stream", "max_seconds", "unconstrained") if given[name]]
    if unused:
        name = unused[0].replace("_", "-")
        raise click.UsageError(f"--{name} is for models with audio tokens: {model} hears by a projector, and says text")
    listen(model, audio, prompt or None, tokenizer, device, **options)


def _jobs(folder: str, output: Path | None) -> list[FileJob]:
    """The clips of a folder, each with the file that its answer goes to, where it is spoken."""
    from codectok.files.suffixes import AUDIO_SUFFIXES, UNREAD_SUFFIXES

    if output is None:
        return [FileJob(path, path) for path in expand([folder], AUDIO_SUFFIXES, also=UNREAD_SUFFIXES)]
    if output.suffix.lower() == ".wav":
        raise click.UsageError(f"-o {output}: of a folder of prompts, the answers go into a folder")
    return plan(
        [folder],
        str(output),
        take=AUDIO_SUFFIXES,
        also=UNREAD_SUFFIXES,
        suffix=".wav",
        file_suffixes=(".wav",),
        overwrite=False,
    )


def _each(answers: Answers, jobs: list[FileJob], speak: bool) -> NoReturn:
    """Answer every clip; those that fail are listed at the end, and leave by the exit status."""
    from codectok.cli.llm_spoken import write_answer
    from codectok.llm.generate.events import TextPiece

    failed: list[tuple[Path, str]] = []
    with keeping(lambda: "answers that were said are whole: give the other prompts"):
        for job in jobs:
            try:
                found = answers.events(str(job.source), _tell_dropped)
                if speak:
                    job.target.parent.mkdir(parents=True, exist_ok=True)
                    click.echo(f"{job.source}\t", nl=False)
                    seconds = write_answer(found, job.target)
                    click.echo(f"wrote {job.target}, {seconds:.2f} s", err=True)
                else:
                    text = "".join(event.text for event in found if isinstance(event, TextPiece))
                    click.echo(f"{job.source}\t{' '.join(text.split())}")
            except (CodectokError, OSError) as error:
                give_up(error)
                failed.append((job.source, describe(error)))
    for source, reason in failed:
        click.echo(f"failed: {source}: {reason}", err=True)
    finish(len(jobs) - len(failed), len(failed))


def _tell_dropped(count: int) -> None:
    if count:
        click.echo(f"{count} audio tokens made no whole frame and were dropped", err=True)
