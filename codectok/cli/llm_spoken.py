"""Where the answer of a language model goes: its text to the terminal, its audio to a file, whole or as it comes."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click
import soundfile
import torch

from codectok.audio.live import LiveSound
from codectok.audio.samples import to_int16
from codectok.errors import CodectokError
from codectok.files.atomic import atomic_path
from codectok.llm.generate.events import AudioPiece, Event, TextPiece
from codectok.tokenizer import Tokenizer

SAMPLES = (".pcm", ".raw")
NOTHING = "the model said no audio: nothing was written"


def check_output(output: Path | None, stream: bool, folder: bool) -> None:
    """Check what -o says.

    Raises:
        UsageError: another kind of file, or one that does not go with --stream.
    """
    if output is None:
        if stream:
            raise click.UsageError("--stream speaks: say where to, -o a.wav, or -o - for stdout")
        return
    if folder:
        if stream:
            raise click.UsageError("--stream is for one prompt: of a folder, the answers are files")
        return
    suffix = output.suffix.lower()
    if stream and not (str(output) == "-" or suffix in (".wav", *SAMPLES)):
        raise click.UsageError(f"-o {output}: --stream writes a .wav, samples (.pcm), or - for stdout")
    if not stream and (str(output) == "-" or suffix in SAMPLES):
        raise click.UsageError(f"-o {output}: give --stream with it, or a name that ends in .wav")
    if not stream and suffix not in (".wav", ".ctk"):
        raise click.UsageError(f"-o {output}: give a name that ends in .wav, or in .ctk for the tokens")


def write_answer(found: Iterator[Event], output: Path | None, tok: Tokenizer | None = None) -> float:
    """Print text, and write the audio when it is whole; the length of the audio in s.

    Args:
        found: the answer; closed in the end.
        output: a .wav file, or a .ctk file of the tokens; None tells the number of frames.
        tok: the audio tokenizer, for tokens.

    Raises:
        CodectokError: no audio for ``output``.
    """
    samples, rate, frames = 0, 1, 0
    pieces: list[torch.Tensor] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.closing(found))  # type: ignore[type-var]
        file: Any = None
        for event in found:
            if isinstance(event, TextPiece):
                click.echo(event.text, nl=False)
                continue
            pieces.append(event.codes)
            if event.samples is not None and output is not None:
                if file is None and output.suffix.lower() == ".wav":
                    path = stack.enter_context(atomic_path(output))
                    file = stack.enter_context(soundfile.SoundFile(path, "w", event.sample_rate, 1, format="WAV"))
                if file is not None:
                    file.write(to_int16(event.samples))
                samples, rate = samples + len(event.samples), event.sample_rate
            else:
                frames += event.codes.shape[1]
                if event.last:
                    click.echo(f"[audio, {frames} frames]", nl=False)
                    frames = 0
        click.echo()
        if output is not None and not samples:
            raise CodectokError(NOTHING)
    if output is not None and output.suffix.lower() == ".ctk" and tok is not None:
        tok.tokens(torch.cat(pieces, 1), samples).save(output)
    return samples / rate


def stream_answer(found: Iterator[Event], output: Path, clock: Callable[[], float] = time.monotonic) -> None:
    """Write each piece of audio as it comes, and tell when the first one came; text goes to stderr beside stdout.

    What was written before an error stays: it was heard.

    Args:
        found: the answer, whose pieces are short; closed in the end.
        output: a .wav file, samples alone (.pcm, .raw), or - for WAV on stdout.
        clock: of the report.

    Raises:
        CodectokError: no audio.
    """
    begun, first, samples, rate = clock(), 0.0, 0, 1
    pipe = str(output) == "-"
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.closing(found))  # type: ignore[type-var]
        live: LiveSound | None = None
        for event in found:
            if isinstance(event, AudioPiece) and event.samples is not None and len(event.samples):
                if live is None:
                    file: BinaryIO = sys.stdout.buffer if pipe else stack.enter_context(open(output, "wb"))
                    header = output.suffix.lower() not in SAMPLES
                    live, first = stack.enter_context(LiveSound(file, event.sample_rate, header)), clock() - begun
                live.write(event.samples)
                samples, rate = samples + len(event.samples), event.sample_rate
            elif isinstance(event, TextPiece):
                click.echo(event.text, nl=False, err=pipe)
        click.echo(err=pipe)
        if live is None:
            raise CodectokError(NOTHING)
    name = "stdout" if pipe else output
    line = f"wrote {name}, {samples / rate:.2f} s; first sound after {first:.2f} s, all after {clock() - begun:.2f} s"
    click.echo(line, err=pipe)
