"""A training run on a manifest of audio: :mod:`.run` with another model and other rows, one for each of five inputs.

Data order, seeds, first values and budget are the same whatever the input, so that runs which differ in ``input`` alone
compare discrete with continuous speech.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codectok.files.folder_lock import FolderLock
from codectok.items.corpus import read_corpus
from codectok.items.item import Item
from codectok.llm.continuous.heard_audio import AudioFrontEnd
from codectok.llm.continuous.speech_model import SpeechModel
from codectok.llm.continuous.speech_model_making import fit_gain, make_speech_model, open_speech_model
from codectok.llm.training.audio_rows import AudioRows, letters_of, read_items
from codectok.llm.training.audio_settings import AudioTrainSettings
from codectok.llm.training.run import Report, StageRun, open_accelerator
from codectok.llm.training.run_folder import RunFolder
from codectok.llm.training.settings import TrainStage
from codectok.llm.training.trainable import new_ids, prepare, restore
from codectok.stops import keeping

SAMPLE = 8
"""Clips that the first scale of soft tokens is measured on."""


def train_audio(
    manifest: str,
    model_name: str,
    output: str | os.PathLike[str],
    settings: AudioTrainSettings,
    report: Report = print,
) -> Path:
    """Train a language model on the audio and labels of a manifest; write it with its projector to a folder.

    An unfinished run in the folder is resumed. ``OUT/run/log.jsonl`` has the loss.

    Args:
        manifest: any corpus whose items have the label that is to be said.
        model_name: folder or hub id of a causal language model, with audio tokens or without.
        output: folder of the run and of the trained model.
        settings: with their stages.
        report: called with lines of progress.

    Raises:
        CodectokError: a model, a manifest or encoders that cannot be used, or that do not fit the settings.
    """
    settings.check()
    named = {stage.data or manifest for stage in settings.run.stages}
    items = {name: read_items(name, settings.audio) for name in sorted(named)}
    accelerator, folder = open_accelerator(settings.run), Path(output)
    hearing = AudioFrontEnd.open(settings.audio, str(accelerator.device))
    with FolderLock(folder) if accelerator.is_main_process else contextlib.nullcontext():
        scans = [read_corpus(name).scan() for name in items]
        facts = {
            "manifest": manifest,
            "model": model_name,
            "items": [(scan.sha256, scan.labels_sha256) for scan in scans],
            "encoders": hearing.fingerprints,
            "settings": settings.run.to_dict() | settings.audio.to_dict(),
        }
        run = RunFolder(folder, facts)
        if run.finished:
            report(f"{folder} is finished")
            return run.output
        with keeping(run.kept):
            return _train(accelerator, run, model_name, manifest, items, hearing, settings, report)


def _train(
    accelerator: Any,
    folder: RunFolder,
    model_name: str,
    manifest: str,
    items: dict[str, list[Item]],
    hearing: AudioFrontEnd,
    settings: AudioTrainSettings,
    report: Report,
) -> Path:
    first, started = folder.stage()
    torch.manual_seed(settings.run.seed)
    if started is None:
        letters = letters_of(items[manifest], settings.audio.transcripts) if settings.audio.with_ctc else ""
        rank, seed = settings.run.lora_rank, settings.run.seed
        speech = make_speech_model(model_name, hearing, letters=letters, lora_rank=rank, seed=seed)
    else:
        speech = open_speech_model(started, str(accelerator.device))
    if accelerator.is_main_process:
        folder.create()
    cache = Path(settings.audio.cache) if settings.audio.cache else folder.path / "data"
    rows = {name: AudioRows(found, speech, cache, report) for name, found in items.items()}
    if started is None:
        fit_gain(speech.model, [rows[manifest].heard(i) for i in range(min(SAMPLE, len(rows[manifest])))])
    speech.model.to(accelerator.device)
    for index in range(first, len(settings.run.stages)):
        stage = settings.run.stages[index]
        if index > first and accelerator.is_main_process:
            folder.start_stage(index, speech)
        accelerator.wait_for_everyone()
        run = AudioStageRun(accelerator, folder, settings.run, index, report)
        if run.moves(speech, stage):
            run.train(speech.model, stage, rows[stage.data or manifest], run.ids(speech))
        else:
            report(f"stage {index + 1} trains nothing of input {settings.audio.input}: left out")
    speech.model.llm.to(speech.dtype)
    if accelerator.is_main_process:
        folder.finish(speech.save_pretrained)
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return folder.output


class AudioStageRun(StageRun):
    """One stage: ``adapter`` is what brings the audio in, the projector, or of discrete input the rows of its codes."""

    _wrapped: Any = None

    def moves(self, speech: SpeechModel, stage: TrainStage) -> bool:
        """Whether anything moves in a stage: without audio there is no adapter."""
        there = speech.input.input == "discrete" or bool(speech.model.adapter())
        return there or bool(stage.parts - {"adapter"})

    def ids(self, speech: SpeechModel) -> Tensor:
        """New rows of discrete input, int64 [n]."""
        return new_ids(speech.vocab) if speech.input.input == "discrete" else torch.zeros(0, dtype=torch.int64)

    def begin(self, model: Any, stage: TrainStage, ids: Tensor) -> Any:
        """What the stage names moves, and of the encoders what is trained of them."""
        parts = stage.parts - {"adapter"}
        if "adapter" in stage.parts and len(ids):
            parts |= {"new-rows"}
        llm, self._wrapped = model.llm, None
        if parts:
            self._wrapped = prepare(llm, replace(stage, trainable="+".join(sorted(parts))), self.settings, ids)
        else:
            llm.requires_grad_(False)
        for part in model.adapter().values():
            part.requires_grad_(bool({"adapter", "all"} & stage.parts))
        for value in model.encoder_parameters().values():
            value.requires_grad_(True)
        return model

    def end(self, model: Any) -> Any:
        """The language model as it was, with what it learned."""
        if self._wrapped is not None:
            restore(self._wrapped)
        return model.requires_grad_(False)

    def loss(self, model: Any, part: dict[str, Tensor]) -> Tensor:
        """Of the answers; and of CTC, where the projector learns from transcripts."""
        return model(part)
