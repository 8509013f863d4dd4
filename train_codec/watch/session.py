"""What a person sees of a run: progress, log, TensorBoard and the validation table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from codectok.codec.tokenizer import CodecTokenizer
from codectok.files.full_disk import named
from train_codec.data.clips import ClipArray
from train_codec.validate import format_table, validate
from train_codec.watch.board import Board
from train_codec.watch.health import CodebookHealth, level_warning
from train_codec.watch.progress import RunProgress

if TYPE_CHECKING:
    from train_codec.generator import GeneratorOutput
    from train_codec.trainer import Trainer

AUDIO_CLIPS = 2
AUDIO_SECONDS = 6


class Session:
    """Follows a trainer from its start, or resumption, to its end. Only the main process prints and writes."""

    def __init__(self, trainer: Trainer, val: ClipArray, resumed: bool) -> None:
        self.trainer, self.val, self.run = trainer, val, trainer.recipe.run
        self.main = trainer.accelerator.is_main_process
        codec = trainer.codec
        self.health = CodebookHealth(codec.codebook_sizes, trainer.device)
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.board: Board | None = None
        if not self.main:
            return
        trainer.out.mkdir(parents=True, exist_ok=True)
        seconds = trainer.crop * trainer.recipe.data.batch / codec.sample_rate
        self.progress = RunProgress(self.run.steps, trainer.step, seconds, self.run.log_every)
        if self.run.tensorboard:
            self.board = Board(trainer.out / "tensorboard", trainer.step)
        verb = "resuming" if resumed else "starting"
        self.progress.note(f"{verb} at step {trainer.step} of {self.run.steps} in {trainer.out}")
        self._log({"step": trainer.step, "recipe": trainer.recipe.flat()})

    def __enter__(self) -> Session:
        """Nothing more to open."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Close the line and the event files, whatever happened."""
        if self.main:
            self.progress.close()
            if self.board is not None:
                self.board.close()

    def after_step(self, values: dict[str, float], output: GeneratorOutput) -> None:
        """Count one step; every ``log_every`` steps, a row of means."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1
        if output.codes is not None:
            self.health.add(output.codes, _padded(output.revived, len(self.health.sizes)))
        step = self.trainer.step
        means = {k: v / self.counts[k] for k, v in self.sums.items()}
        if step % self.run.log_every == 0 or step == self.run.steps:
            self.health.reduce()
            self.sums, self.counts = {}, {}
            if self.main:
                row = {k: round(v, 6) for k, v in means.items()}
                row["learning_rate"] = self.trainer.optimizer.param_groups[0]["lr"]
                row["steps_per_second"] = round(self.progress.speed, 3)
                self._log({"step": step, **row, "health": self.health.row()})
        if self.main:
            self.progress.update(step, {k: v for k, v in means.items() if k != "gradient"})

    @contextmanager
    def aside(self, text: str) -> Iterator[None]:
        """Say what is done between two steps, which may take minutes; its time is not a step's."""
        if not self.main:
            yield
            return
        self.progress.note(text)
        with self.progress.paused():
            yield

    def validate(self) -> None:
        """Score the averaged model on whole clips, in the main process; the others wait.

        With the codebooks that are fitted by then; before any is, there is nothing to score.
        """
        depths = self._depths()
        if self.main and depths:
            model = self.trainer.released()
            with self.progress.paused():
                table = validate(model, self.val, self.run.val_clips, depths)
            self._log({"step": self.trainer.step, "val": table})
            self.progress.note(f"step {self.trainer.step}\n{format_table(table)}")
            if warning := level_warning(table):
                self.progress.note(
                    f"warning: step {self.trainer.step} does not sound as loud as its original: {warning}"
                )
            if self.board is not None:
                self._play(model, depths)
        self.trainer.accelerator.wait_for_everyone()

    def _depths(self) -> list[int]:
        top, usable = len(self.trainer.codec.codebook_sizes), self.trainer.usable_codebooks()
        asked = self.run.val_codebooks or sorted({max(1, top // 4), top})
        return [depth for depth in asked if depth <= usable]

    def _play(self, model: Any, depths: list[int]) -> None:
        assert self.board is not None
        tokenizer = CodecTokenizer(model, "in training", "", device=str(self.trainer.device))
        rate = model.sample_rate
        for index, clip in enumerate(self.val.clips[:AUDIO_CLIPS]):
            audio = np.asarray(self.val.read(clip))[: AUDIO_SECONDS * rate]
            self.board.audio(self.trainer.step, f"clip{index}/original", audio, rate)
            tokens = tokenizer.encode(audio, rate)
            for depth in depths:
                decoded = tokenizer.decode(tokens.first(depth))
                self.board.audio(self.trainer.step, f"clip{index}/{depth}_codebooks", decoded, rate)

    def _log(self, row: dict[str, Any]) -> None:
        """Append one row to ``log.jsonl``."""
        with named(self.trainer.out / "log.jsonl"), open(self.trainer.out / "log.jsonl", "a") as f:
            f.write(json.dumps(row) + "\n")
        if self.board is not None and "recipe" not in row:
            self.board.scalars(row["step"], row)


def _padded(revived: Sequence[int], levels: int) -> list[int]:
    return [*revived, *[0] * (levels - len(revived))]
