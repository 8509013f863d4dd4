"""A training run: stage after stage on accelerate, resumable, the same every time.

Batches and dropout are functions of (seed, stage, step), so a run that was interrupted ends as one that was not.
Several processes: data parallel only; each has the whole model.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from codectok.errors import CodectokError
from codectok.files.folder_lock import FolderLock
from codectok.llm.model.extend_report import FILE, SAMPLE_TEXT
from codectok.llm.model.folder import open_model, open_text_tokenizer, save_model
from codectok.llm.sequence.loss_labels import IGNORE, weighted_loss
from codectok.llm.training.data import PackedDataset, model_inputs, pack_hash
from codectok.llm.training.retention import text_perplexity
from codectok.llm.training.run_folder import RunFolder
from codectok.llm.training.settings import TrainSettings, TrainStage
from codectok.llm.training.trainable import check_stage, moving_parameters, new_ids, prepare, restore
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.log import logger
from codectok.stops import holding, keeping

LOG = logger(__name__)

Report = Callable[[str], None]


class Rows(Protocol):
    """Training rows: a batch is a function of seed and step, its labels and their ``lengths`` are in it."""

    def batch(self, seed: int, step: int, size: int) -> dict[str, Tensor]:
        """Tensors [B, ...] by name."""


def train(
    dataset: str, model_name: str, output: str | os.PathLike[str], settings: TrainSettings, report: Report = print
) -> Path:
    """Train a model with audio tokens and write it, its tokenizer and vocabulary to a folder.

    An unfinished run in the folder is resumed at its last checkpoint. ``OUT/run/log.jsonl`` has the loss, and the
    perplexity of a text before and after each stage.

    Args:
        dataset: folder of parquet files, for stages that name none.
        model_name: folder that ``codectok llm extend`` wrote.
        output: folder of the run and of the trained model.
        settings: with its stages.
        report: called with lines of progress.

    Raises:
        CodectokError: a model, a dataset or a run folder that cannot be used; a loss that is not finite.
    """
    settings.check()
    accelerator, folder = open_accelerator(settings), Path(output)
    with FolderLock(folder) if accelerator.is_main_process else contextlib.nullcontext():
        return _train(accelerator, dataset, model_name, folder, settings, report)


def open_accelerator(settings: TrainSettings) -> Any:
    """What the run is worked on by: accelerate's, with the precision and the threads that are set.

    Raises:
        CodectokError: a precision that this machine does not have.
    """
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    if settings.threads:
        torch.set_num_threads(settings.threads)
    # Buffers never change: the old rows of the tables are among them, too much to send each step.
    try:
        return Accelerator(
            cpu=not torch.cuda.is_available(),
            mixed_precision=settings.mixed_precision,
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
    except ValueError as error:
        raise CodectokError(f"mixed_precision {settings.mixed_precision} cannot be used here: {error}") from None


def _train(
    accelerator: Any, dataset: str, model_name: str, output: Path, settings: TrainSettings, report: Report
) -> Path:
    named = sorted({stage.data for stage in settings.stages})
    vocab = AudioVocab.load(model_name)
    facts = {
        "dataset": str(dataset),
        "model": str(model_name),
        "vocab": vocab.fingerprint,
        "packs": [pack_hash(name or dataset) for name in named],
        "settings": settings.to_dict(),
    }
    folder = RunFolder(output, facts)
    if folder.finished:
        report(f"{output} is finished")
        return folder.output
    data = {name: PackedDataset(name or dataset, folder.path / "data") for name in named}
    with keeping(folder.kept):
        return _train_stages(accelerator, folder, model_name, vocab, data, settings, report)


def _train_stages(
    accelerator: Any,
    folder: RunFolder,
    model_name: str,
    vocab: AudioVocab,
    data: dict[str, PackedDataset],
    settings: TrainSettings,
    report: Report,
) -> Path:
    from transformers import AutoConfig

    tokenizer = open_text_tokenizer(model_name)
    text = Path(settings.text).read_text(encoding="utf-8", errors="replace") if settings.text else SAMPLE_TEXT
    first, started = folder.stage()
    if started is not None:
        LOG.info("going on with stage %d of %d, from %s", first + 1, len(settings.stages), started)
    model = open_model(started or model_name, torch.float32)
    for rows in data.values():
        rows.check(vocab, len(model.get_input_embeddings().weight))
    runs = [StageRun(accelerator, folder, settings, i, report) for i in range(len(settings.stages))]
    for stage in settings.stages:
        check_stage(model, stage)
    if accelerator.is_main_process:
        folder.create()
    model = model.to(accelerator.device)
    for index in range(first, len(settings.stages)):
        stage, run = settings.stages[index], runs[index]
        if index > first and accelerator.is_main_process:
            folder.start_stage(index, model)
        accelerator.wait_for_everyone()
        before = text_perplexity(model, tokenizer, vocab, text)
        model = run.train(model, stage, data[stage.data], new_ids(vocab))
        after = text_perplexity(model, tokenizer, vocab, text)
        run.tell(stage.steps, f"text perplexity {before:.4g} before, {after:.4g} after", before=before, after=after)
    stored = AutoConfig.from_pretrained(model_name, trust_remote_code=False).dtype or torch.float32
    model.to(stored)
    if accelerator.is_main_process:
        folder.finish(lambda path: save_trained(path, Path(model_name), model, tokenizer, vocab))
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return folder.output


def save_trained(path: Path, source: Path, model: Any, tokenizer: Any, vocab: AudioVocab) -> None:
    """Write a trained model into a folder, with what its source says of the audio tokenizer."""
    save_model(path, model, tokenizer, vocab)
    if (source / FILE).is_file():  # which names the audio tokenizer
        shutil.copyfile(source / FILE, path / FILE)


class StageRun:
    """One stage of a run."""

    def __init__(
        self, accelerator: Any, folder: RunFolder, settings: TrainSettings, index: int, report: Report
    ) -> None:
        self.accelerator, self.folder, self.settings = accelerator, folder, settings
        self.index, self.report = index, report
        per_step = settings.accumulate * accelerator.num_processes
        if settings.batch % per_step:
            raise CodectokError(f"batch {settings.batch} is no multiple of processes times accumulate, {per_step}")
        self.part = settings.batch // per_step

    def train(self, model: Any, stage: TrainStage, rows: Rows, ids: Tensor) -> Any:
        """All steps of the stage that are left; returns the plain model."""
        settings, accelerator = self.settings, self.accelerator
        self._seed(-1)
        model = self.begin(model, stage, ids).to(accelerator.device)
        moving = moving_parameters(model)
        optimizer = torch.optim.AdamW(moving.values(), lr=stage.learning_rate, weight_decay=settings.weight_decay)
        done = self.folder.load(self.index, moving, optimizer)
        if done:
            LOG.info("going on at step %d of %d of stage %d, from its checkpoint", done, stage.steps, self.index + 1)
        if accelerator.is_main_process:
            self.folder.forget_after(self.index, done)
        wrapped = accelerator.prepare_model(model)
        wrapped.train()
        begun, tokens = time.monotonic(), 0
        with holding() as asked:
            for step in range(done, stage.steps):
                for group in optimizer.param_groups:
                    group["lr"] = stage.rate(step, settings.warmup_share)
                self._seed(step)
                batch = rows.batch(settings.seed + self.index, step, settings.batch)
                tokens += int(batch["lengths"].sum())
                loss = self._step(wrapped, moving, optimizer, batch)
                if not loss < float("inf"):
                    where = f"step {step} of stage {self.index + 1}"
                    raise CodectokError(f"the loss of {where} is {loss}: lower learning_rate")
                last = step + 1 == stage.steps
                if (step + 1) % settings.log_every == 0 or last:
                    speed = tokens / max(1e-9, time.monotonic() - begun)
                    rate = optimizer.param_groups[0]["lr"]
                    line = f"step {step + 1}/{stage.steps}  loss {loss:.4f}  {speed:.0f} tokens/s"
                    self.tell(step + 1, line, loss=loss, learning_rate=rate, tokens_per_second=round(speed))
                due = (step + 1) % settings.checkpoint_every == 0 and not last
                if (due or asked()) and accelerator.is_main_process:
                    self.folder.save(self.index, step + 1, moving, optimizer)
                if asked():
                    break
        return self.end(accelerator.unwrap_model(wrapped)).eval()

    def begin(self, model: Any, stage: TrainStage, ids: Tensor) -> Any:
        """The model of which the stage's parts move, and no others."""
        return prepare(model, stage, self.settings, ids)

    def end(self, model: Any) -> Any:
        """The plain model again."""
        return restore(model)

    def loss(self, model: Any, part: dict[str, Tensor]) -> Tensor:
        """The mean loss a label of a part of a batch."""
        logits = model(**model_inputs(part)).logits
        return weighted_loss(logits, part["labels"], part.get("loss_weights"))

    def weights(self, batch: dict[str, Tensor]) -> Tensor:
        """Weights [B, ...] of the labels of a batch; 0 where there is none."""
        labels = batch["labels"][:, 1:]
        weights = batch["loss_weights"][:, 1:] if "loss_weights" in batch else torch.ones(labels.shape)
        return weights * (labels != IGNORE)

    def _step(self, model: Any, moving: dict[str, Any], optimizer: Any, batch: dict[str, Tensor]) -> float:
        """One optimizer step; the mean loss a label, of all processes and parts, as one big batch would have it."""
        accelerator, weights = self.accelerator, self.weights(batch)
        whole = float(weights.sum())
        mine = range(accelerator.process_index * self.part, self.settings.batch, self.part * accelerator.num_processes)
        total = torch.zeros((), device=accelerator.device)
        for i, start in enumerate(mine):
            part = {name: t[start : start + self.part].to(accelerator.device) for name, t in batch.items()}
            held = float(weights[start : start + self.part].sum())
            share = held / whole if whole else 0.0
            with contextlib.nullcontext() if i + 1 == len(mine) else accelerator.no_sync(model):
                loss = self.loss(model, part) * share
                accelerator.backward(loss * accelerator.num_processes)  # which data parallelism divides by again
            total += loss.detach()
        if self.settings.clip_norm > 0:
            accelerator.clip_grad_norm_(list(moving.values()), self.settings.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(accelerator.reduce(total, "sum"))

    def _seed(self, step: int) -> None:
        """Of dropout and of first values; -1 is before the first step."""
        rank = 0 if step < 0 else self.accelerator.process_index
        mixed = torch.tensor([self.settings.seed, self.index, step + 1, rank])
        torch.manual_seed(int((mixed * torch.tensor([1_000_003, 10_007, 101, 1])).sum() * 2_654_435_761 % 2**63))

    def tell(self, step: int, line: str, **values: Any) -> None:
        """A line of progress, and of the log."""
        if self.accelerator.is_main_process:
            total = len(self.settings.stages)
            trainable = self.settings.stages[self.index].trainable
            self.report(f"stage {self.index + 1}/{total} {trainable}  {line}")
            self.folder.log(stage=self.index, step=step, **values)
