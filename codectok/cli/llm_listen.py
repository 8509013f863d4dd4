"""``codectok llm generate`` with a model that hears by a projector: an audio file, or each of a folder, is answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from codectok.cli.console import describe, finish
from codectok.cli.jobs import give_up
from codectok.cli.paths import expand
from codectok.errors import CodectokError


def listen(
    folder: str,
    audio: str | None,
    prompt: str | None,
    named: str | None,
    device: str,
    *,
    max_tokens: int,
    seed: int,
    draw: dict[str, float],
) -> None:
    """Print what a model says to an audio file, or a line of file, tab and text for each of a folder.

    Args:
        folder: that ``codectok llm train MANIFEST ... input=...`` wrote.
        audio: file or folder; None for a model that was trained without audio.
        prompt: text behind the audio; None for that of the training.
        named: where its encoders are now, joined by a plus.
        device: for torch.
        max_tokens: new ids at most.
        seed: of the draws.
        draw: temperature and top_p; empty for the likeliest ids.

    Raises:
        CodectokError: another encoder than it was trained with, or audio that cannot be read.
    """
    import torch

    from codectok.audio.clip import clip_at
    from codectok.files.suffixes import AUDIO_SUFFIXES, UNREAD_SUFFIXES
    from codectok.llm.continuous.audio_input import loaded_as
    from codectok.llm.continuous.heard_audio import Reading
    from codectok.llm.continuous.speech_model_making import open_speech_model
    from codectok.llm.model.folder import quiet

    quiet()
    names = None if named is None else [loaded_as(part.strip()) for part in named.split("+")]
    speech = open_speech_model(folder, device, names)
    if audio is None and speech.input.input != "none":
        raise click.UsageError(f"{folder} answers audio: give --audio FILE, or a folder")
    options: dict[str, Any] = {"max_new_tokens": max_tokens, **({"do_sample": True, **draw} if draw else {})}

    def said(path: str | None) -> str:
        read: Reading = lambda rate: clip_at(str(path), None, rate)  # noqa: E731
        torch.manual_seed(seed)
        return speech.answer([speech.hearing(read)], prompt, **options)[0]

    if audio is None or not Path(audio).is_dir():
        click.echo(said(audio))
        return
    files, failed = expand([audio], AUDIO_SUFFIXES, also=UNREAD_SUFFIXES), []
    for path in files:
        try:
            click.echo(f"{path}\t{' '.join(said(str(path)).split())}")
        except (CodectokError, OSError) as error:
            give_up(error)
            failed.append((path, describe(error)))
    for path, reason in failed:
        click.echo(f"failed: {path}: {reason}", err=True)
    finish(len(files) - len(failed), len(failed))
