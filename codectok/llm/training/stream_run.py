"""A training run of a model of several streams: the stages, steps and checkpoints of any run, with another loss."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.files.folder_lock import FolderLock
from codectok.llm.heads.stream_folder import load_heads, plan_of
from codectok.llm.heads.stream_model import StreamModel
from codectok.llm.model.extend_report import SAMPLE_TEXT
from codectok.llm.model.folder import open_model, open_text_tokenizer
from codectok.llm.patterns.stream_plan import StreamPlan, same_plan
from codectok.llm.training.data import pack_hash
from codectok.llm.training.retention import text_perplexity
from codectok.llm.training.run import Report, StageRun, open_accelerator, save_trained
from codectok.llm.training.run_folder import RunFolder
from codectok.llm.training.settings import TrainSettings, TrainStage
from codectok.llm.training.stream_data import StreamDataset, check_packed, packed_plan
from codectok.llm.training.trainable import check_stage, new_ids, prepare, restore
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.stops import keeping


def has_streams(dataset: str, model_name: str) -> bool:
    """Whether a dataset is of several streams.

    Raises:
        FormatError: the model folder is, and the dataset is not.
    """
    plan = packed_plan(dataset)
    if plan is None and (theirs := plan_of(model_name)) is not None:
        same_plan(plan, theirs, dataset, model_name)
    return plan is not None


def train_streams(
    dataset: str, model_name: str, output: str | os.PathLike[str], settings: TrainSettings, report: Report = print
) -> Path:
    """Train a model of several streams, by the plan that the dataset names, and write it to a folder.

    Arguments, resuming and the folder of the run are as of :func:`codectok.llm.training.run.train`. What a stage says
    of what moves is about the language model; the heads move in every stage.

    Raises:
        CodectokError: a model, a dataset or a run folder that cannot be used; a loss that is not finite.
    """
    settings.check()
    vocab, plan = AudioVocab.load(model_name), packed_plan(dataset)
    if plan is None:
        raise FormatError(f"{dataset} is of one stream: pack it with --pattern delay, depth, valle or grouped")
    named = {stage.data: stage.data or dataset for stage in settings.stages}
    for name in named.values():
        same_plan(packed_plan(name), plan, name, dataset)
        check_packed(name, plan, vocab)
    if (known := plan_of(model_name)) is not None:
        same_plan(plan, known, dataset, model_name)
    accelerator, output = open_accelerator(settings), Path(output)
    facts = {
        "dataset": dataset,
        "model": str(model_name),
        "vocab": vocab.fingerprint,
        "packs": [pack_hash(name) for name in named.values()],
        "settings": settings.to_dict(),
    }
    with FolderLock(output) if accelerator.is_main_process else contextlib.nullcontext():
        folder = RunFolder(output, facts)
        if folder.finished:
            report(f"{output} is finished")
            return output
        data = {key: StreamDataset(name, plan, folder.path / "data") for key, name in named.items()}
        with keeping(folder.kept):
            return _run(accelerator, folder, model_name, vocab, plan, data, settings, report)


def _run(
    accelerator: Any,
    folder: RunFolder,
    model_name: str,
    vocab: AudioVocab,
    plan: StreamPlan,
    data: dict[str, StreamDataset],
    settings: TrainSettings,
    report: Report,
) -> Path:
    first, started = folder.stage()
    model = _open(Path(started or model_name), vocab, plan, settings)
    for stage in settings.stages:
        check_stage(model.lm, stage)
    runs = [StreamStage(accelerator, folder, settings, i, report) for i in range(len(settings.stages))]
    tokenizer = open_text_tokenizer(model_name)
    text = Path(settings.text).read_text(encoding="utf-8", errors="replace") if settings.text else SAMPLE_TEXT
    model.to(accelerator.device)
    if accelerator.is_main_process:
        folder.create()
    for index in range(first, len(settings.stages)):
        stage, run = settings.stages[index], runs[index]
        if index > first and accelerator.is_main_process:
            folder.start_stage(index, model)
        accelerator.wait_for_everyone()
        before = text_perplexity(model.lm, tokenizer, vocab, text)
        model = run.train(model, stage, data[stage.data], new_ids(vocab))
        after = text_perplexity(model.lm, tokenizer, vocab, text)
        run.tell(stage.steps, f"text perplexity {before:.4g} before, {after:.4g} after", before=before, after=after)
    model.to(stored_dtype(model_name))
    if accelerator.is_main_process:
        folder.finish(lambda path: save_trained(path, Path(model_name), model, tokenizer, vocab))
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return folder.output


def stored_dtype(model_name: str) -> torch.dtype:
    """The type that the weights of a model folder are stored in."""
    from transformers import AutoConfig

    found: torch.dtype | None = AutoConfig.from_pretrained(model_name, trust_remote_code=False).dtype
    return found or torch.float32


def _open(path: Path, vocab: AudioVocab, plan: StreamPlan, settings: TrainSettings) -> StreamModel:
    """The language model of a folder, with its heads, or with new ones where it has none."""
    lm = open_model(path, torch.float32)
    torch.manual_seed(settings.seed)
    model = StreamModel(lm, vocab, plan, settings.head_width, settings.head_layers).eval()
    if plan_of(path) is not None:
        load_heads(path, model)
    return model


class StreamStage(StageRun):
    """One stage of a run of several streams."""

    def begin(self, model: Any, stage: TrainStage, ids: Tensor) -> Any:
        """As the base's; the heads move always."""
        model.lm = prepare(model.lm, stage, self.settings, ids)
        model.heads.requires_grad_(True)
        return model

    def end(self, model: Any) -> Any:
        """As the base's."""
        model.lm = restore(model.lm)
        return model.requires_grad_(False)

    def weights(self, batch: dict[str, Tensor]) -> Tensor:
        """Weight [B] of all that each utterance says."""
        return batch["said"]

    def loss(self, model: Any, part: dict[str, Tensor]) -> Tensor:
        """The mean by weight of all that a part says, in nats."""
        total: Tensor = model(**{name: t for name, t in part.items() if name != "said"})
        return total / part["said"].sum()
