"""A plain training loop: one update is a pure function of the checkpoint and the step."""

from __future__ import annotations

import abc
import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from codectok.errors import CodectokError, FormatError
from codectok.files.atomic import sweep
from codectok.files.folder_lock import FolderLock
from codectok.files.full_disk import named
from codectok.log import logger
from codectok.stops import holding, keeping
from train_codec.allocator import keep_buffers
from train_codec.checkpoint import read_checkpoint, stays, write_checkpoint
from train_codec.data import prefetch
from train_codec.schedule import rate_share
from train_codec.student.settings import TaskRecipe
from train_codec.validate import format_table
from train_codec.watch.health import level_warning
from train_codec.watch.progress import RunProgress

LOG = logger(__name__)


class Loop(abc.ABC):
    """AdamW with warm-up and cosine, averaged weights, a resumable checkpoint and a progress line; one process.

    Subclasses make ``network`` (and set ``step_seconds``), and implement the abstract methods.
    """

    step_seconds: float = 0.0
    """Audio that a step trains on."""

    def __init__(self, recipe: TaskRecipe) -> None:
        self.recipe, self.step, self.saved, self.out = recipe, 0, 0, Path(recipe.run.out)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.set_num_threads(recipe.run.threads)
        torch.set_flush_denormal(True)
        keep_buffers()
        torch.manual_seed(recipe.run.seed)

    def start(self, network: nn.Module, frozen: Sequence[str] = ()) -> None:
        """Set up what trains ``network``, but for the parameters whose names start with one of ``frozen``."""
        self.network = network.to(self.device)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(not name.startswith(tuple(frozen)))
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        s = self.recipe.optimizer
        self.optimizer = torch.optim.AdamW(
            [p for p in network.parameters() if p.requires_grad],
            s.learning_rate,
            (s.beta1, s.beta2),
            weight_decay=s.weight_decay,
            fused=True,
        )

    # -- what a subclass implements -----------------------------------------------------------------------------------

    @abc.abstractmethod
    def batch(self, step: int) -> Any:
        """Data of a step: a pure function of seed and step."""

    @abc.abstractmethod
    def losses(self, batch: Any) -> dict[str, Tensor]:
        """The terms of the loss, weighted."""

    @abc.abstractmethod
    def validate(self) -> dict[str, float]:
        """Scores of the averaged network."""

    @abc.abstractmethod
    def export(self) -> Path:
        """Write the averaged network as a folder, which is returned."""

    # -- the loop -----------------------------------------------------------------------------------------------------

    def train_step(self, batch: Any) -> dict[str, float]:
        """One update; returns the losses.

        Raises:
            CodectokError: a loss is not finite.
        """
        s = self.recipe.optimizer
        for group in self.optimizer.param_groups:
            group["lr"] = s.learning_rate * rate_share(s, self.recipe.run.steps, self.step)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.run.bf16):
            terms = self.losses(batch)
        total = torch.stack(list(terms.values())).sum()
        if not total.isfinite():
            raise CodectokError(f"step {self.step}: the loss is not finite: go on from the checkpoint, slower")
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), s.clip_norm)
        self.optimizer.step()
        weight = 1 - min(s.ema_decay, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), weight)
        self.step += 1
        return {k: float(v.detach()) for k, v in terms.items()}

    def run(self, until: int | None = None) -> None:
        """Train to ``steps`` (or stop at step ``until``), resuming if the run folder holds a checkpoint.

        A SIGINT or SIGTERM ends it after the step, with a checkpoint.

        Raises:
            CodectokError: another run is writing the folder.
            Stopped: a signal came.
        """
        with FolderLock(self.out), keeping(self.kept):
            sweep(self.out)
            self._run(self.recipe.run.steps if until is None else min(until, self.recipe.run.steps))

    def kept(self) -> str:
        """What a stop leaves."""
        return stays(self.out / "checkpoint.pt", self.saved)

    def _run(self, stop: int) -> None:
        run = self.recipe.run
        resumed = self.load()
        if resumed:
            LOG.info("going on at step %d of %d, from the checkpoint in %s", self.step, run.steps, self.out)
        progress = RunProgress(run.steps, self.step, self.step_seconds, run.log_every)
        progress.note(f"{'resuming' if resumed else 'starting'} at step {self.step} of {run.steps} in {self.out}")
        self._log({"step": self.step, "recipe": self.recipe.flat()})
        sums: dict[str, float] = {}
        counted = 0
        with holding() as asked:
            for batch in prefetch(self.batch, self.step, stop):
                for name, value in self.train_step(batch).items():
                    sums[name] = sums.get(name, 0.0) + value
                counted += 1
                means = {k: v / counted for k, v in sums.items()}
                progress.update(self.step, means)
                if self.step % run.log_every == 0 or self.step == stop:
                    row = {k: round(v, 6) for k, v in means.items()}
                    self._log({"step": self.step, **row, "steps_per_second": round(progress.speed, 3)})
                    sums, counted = {}, 0
                if self.step % run.checkpoint_every == 0 or self.step == stop or asked():
                    self.save()
                if asked():
                    break
                if self.step % run.validate_every == 0 or self.step == run.steps:
                    with progress.paused():
                        scores = self.validate()
                    self._log({"step": self.step, "val": scores})
                    for line in _report(self.step, scores):
                        progress.note(line)
        progress.close()

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write ``checkpoint.pt`` whole or not at all."""
        write_checkpoint(
            self.out / "checkpoint.pt",
            {
                "step": self.step,
                "recipe": self.recipe.flat(),
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
            },
        )
        self.saved = self.step

    def load(self) -> bool:
        """Resume from ``checkpoint.pt`` if there is one.

        Raises:
            FormatError: it is of another run.
        """
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return False
        state = read_checkpoint(path, self.device)
        now, before = self.recipe.flat(), state["recipe"]
        free = {"steps", "out", "cache", "threads", "log_every", "checkpoint_every", "validate_every", "val_clips"}
        free |= {"data", "splits", "decay_share", "learning_rate", "codebook"}
        known = [k for k in now if k in before and k not in free]  # it may be from before a key was there
        changed = [f"{k} {before[k]} is now {now[k]}" for k in known if before[k] != now[k]]
        if changed:
            raise FormatError(f"{path} is of another run ({', '.join(changed)}): choose another out=", path=path)
        self.step = self.saved = state["step"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        return True

    def _log(self, row: dict[str, Any]) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        with named(self.out / "log.jsonl"), open(self.out / "log.jsonl", "a") as f:
            f.write(json.dumps(row) + "\n")


def _report(step: int, scores: Mapping[str, float]) -> Iterator[str]:
    """What a validation found; where audio was scored its table, and a warning if it is not as loud as it should be."""
    heard = {k: v for k, v in scores.items() if k.rpartition("_")[2].isdigit()}
    yield f"step {step}  " + "  ".join(f"{k} {v:.4g}" for k, v in scores.items() if k not in heard)
    if heard:
        yield format_table(heard)
    if warning := level_warning(heard):
        yield f"warning: step {step} does not sound as loud as its original: {warning}"
