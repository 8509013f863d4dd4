"""``codectok llm generate``: a prompt continued in text and sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from codectok.cli.console import handle_errors
from codectok.cli.help import command
from codectok.extras import need


@command()
@click.argument("model")
@click.option("--prompt", default="", help="Text to continue. Audio tokens written in it stay text.")
@click.option("--audio", type=click.Path(exists=True, dir_okay=False), help="Audio file, after the text.")
@click.option("--task", metavar="T", help="Arrange both as `llm pack` does for this task: asr, tts, ...")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Speak: write the audio to this .wav file.")
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
@click.option("--device", default="cpu", show_default=True, help="Torch device of the model.")
@handle_errors
def generate(
    model: str,
    prompt: str,
    audio: str | None,
    task: str | None,
    output: Path | None,
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

    \b
    Examples:
      codectok llm generate trained --task asr --audio a.flac
      codectok llm generate trained --task tts --prompt 'Good morning.' -o a.wav
    """
    need("codectok llm generate needs", "llm", "transformers", "tokenizers")
    from codectok.llm.generate.generation import generate as events
    from codectok.llm.model.extend_report import extended_with
    from codectok.llm.model.folder import open_model, open_text_tokenizer, quiet
    from codectok.llm.sequence.prompts import task_prompt
    from codectok.llm.sequence.segments import Audio, Marker, Prompter, Text
    from codectok.llm.sequence.task_table import task as task_named
    from codectok.llm.vocab.audio_vocab import AudioVocab
    from codectok.opening import check_device
    from codectok.shipped import made_by
    from codectok.tokenizer import load

    if output is not None and output.suffix.lower() != ".wav":
        raise click.UsageError(f"-o {output}: give a name that ends in .wav")
    if max_seconds is not None and output is None and audio is None:
        raise click.UsageError("--max-seconds goes with -o or --audio: limit text and codes by --max-tokens")
    if top_p != 1 and temperature == 0:
        raise click.UsageError("--top-p draws: give a --temperature above 0 with it")
    check_device(device)
    quiet()
    vocab, text_tokenizer = AudioVocab.load(model), open_text_tokenizer(model)
    tok = (
        load(tokenizer or made_by(vocab.tokenizer_fingerprint, extended_with(model)))
        if output is not None or audio is not None
        else None
    )
    codes = tok.encode(audio, num_codebooks=vocab.num_codebooks) if audio is not None and tok is not None else None
    style = task_named("speech").style(vocab)
    if task is not None:
        segments = task_prompt(task, vocab, prompt, codes, speak=output is not None)
    else:
        segments = [Text(prompt)] if prompt else []
        if codes is not None:
            segments += [*map(Marker, style.heard[:1]), Audio(codes), *map(Marker, style.heard[1:])]
        segments += map(Marker, style.spoken[:1]) if output is not None else []
    options: dict[str, Any] = {"do_sample": False}
    if temperature > 0:
        options = {"do_sample": True, "temperature": temperature, "top_p": top_p}
    if max_seconds is not None and tok is not None:
        options["max_frames"] = max(1, int(max_seconds * tok.frame_rate))
    if len(style.spoken) == 2:
        options["roles"] = style.spoken
    found = events(
        open_model(model).to(device),
        text_tokenizer,
        vocab,
        Prompter(text_tokenizer, vocab).encode(segments, bos=text_tokenizer.bos_token_id is not None).ids,
        tok=tok if output is not None else None,
        constrain=not unconstrained,
        max_new_tokens=max_tokens,
        stop_after_audio=output is not None,
        seed=seed,
        dropped=_tell_dropped,
        **options,
    )
    seconds = _write(found, output)
    if output is not None:
        click.echo(f"wrote {output}, {seconds:.2f} s")


def _tell_dropped(count: int) -> None:
    if count:
        click.echo(f"{count} audio tokens made no whole frame and were dropped", err=True)


def _write(found: Any, output: Path | None) -> float:
    """Print text and write audio as they come; the length of the audio in s."""
    import contextlib

    import soundfile

    from codectok.audio.samples import to_int16
    from codectok.errors import CodectokError
    from codectok.files.atomic import atomic_path
    from codectok.llm.generate.events import TextPiece

    samples, rate = 0, 1
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.closing(found))
        file: Any = None
        for event in found:
            if isinstance(event, TextPiece):
                click.echo(event.text, nl=False)
            elif event.samples is not None and output is not None:
                if file is None:
                    path = stack.enter_context(atomic_path(output))
                    file = stack.enter_context(soundfile.SoundFile(path, "w", event.sample_rate, 1, format="WAV"))
                file.write(to_int16(event.samples))
                samples, rate = samples + len(event.samples), event.sample_rate
            elif event.last:
                click.echo(f"[audio, {event.codes.shape[1]} frames]", nl=False)
        click.echo()
        if output is not None and not samples:
            raise CodectokError("the model said no audio: nothing was written")
    return samples / rate
