"""The folder of a run: the model at the start of the current stage, a checkpoint within it, a log; no pickles."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.files.atomic import atomic_path
from codectok.files.folder_lock import is_vacant
from codectok.files.full_disk import named
from codectok.llm.model.folder import new_folder

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class RunFolder:
    """``OUT/run`` while a model is in training; the finished model lies in ``OUT`` itself.

    Args:
        output: OUT.
        facts: settings, model and data; a run is only resumed with the same. One that has neither a checkpoint nor a
            finished stage has nothing to lose: others take its place.

    Raises:
        FormatError: something else is in the folder.
    """

    def __init__(self, output: str | os.PathLike[str], facts: dict[str, Any]) -> None:
        self.output, self.path = Path(output), Path(output) / "run"
        self.facts = json.loads(json.dumps(facts))
        self._saved = 0
        if self.output.exists() and not self.path.is_dir() and (self.output.is_file() or not is_vacant(self.output)):
            raise FormatError(f"{self.output} exists and is no run: give another folder", path=self.output)
        described = self.path / "settings.json"
        begun = self.finished or self._checkpoint.is_file() or self.stage()[0] > 0
        if begun and described.is_file() and json.loads(described.read_text()) != self.facts:
            raise FormatError(
                f"{self.output} is a run with other settings, model or data ({described}): give another folder",
                path=self.output,
            )

    def kept(self) -> str:
        """What a stop leaves."""
        stage = self.stage()[0]
        if not stage and not self._saved:
            return "no checkpoint was written yet: the same command begins again"
        where = f"stage {stage + 1} of the run is kept as it was after step {self._saved}"
        return f"{where}, in {self.path}: the same command goes on from there"

    def create(self) -> None:
        """Make the folder, or leave it as it is."""
        self.path.mkdir(parents=True, exist_ok=True)
        with atomic_path(self.path / "settings.json") as path:
            path.write_text(json.dumps(self.facts, indent=1) + "\n")

    @property
    def finished(self) -> bool:
        """Whether the trained model is there."""
        return (self.output / "config.json").is_file()

    def stage(self) -> tuple[int, Path | None]:
        """The current stage, from 0 on, and the model that it started from; None for the run's own."""
        found = [int(p.name.removeprefix("stage-")) for p in self.path.glob("stage-*") if p.name[6:].isdigit()]
        return (max(found), self.path / f"stage-{max(found)}") if found else (0, None)

    def start_stage(self, index: int, model: Any) -> None:
        """Keep the model that a stage starts from; what came before it is no longer needed."""
        with new_folder(self.path / f"stage-{index}", overwrite=True, locked=False) as folder:
            model.save_pretrained(folder)
        self._checkpoint.unlink(missing_ok=True)
        self._saved = 0
        if index > 1:
            shutil.rmtree(self.path / f"stage-{index - 1}", ignore_errors=True)

    def finish(self, write: Any) -> None:
        """Put the finished model in place: ``write(folder)`` writes it; ``config.json`` appears last."""
        with new_folder(self.path / "model", overwrite=True, locked=False) as folder:
            write(folder)
        names = sorted((p.name for p in (self.path / "model").iterdir()), key=lambda name: name == "config.json")
        for name in names:
            (self.path / "model" / name).replace(self.output / name)
        for left in (self.path / "model", self.path / "data", *self.path.glob("stage-*")):
            shutil.rmtree(left, ignore_errors=True)
        self._checkpoint.unlink(missing_ok=True)

    @property
    def _checkpoint(self) -> Path:
        return self.path / "checkpoint.safetensors"

    def save(self, stage: int, step: int, moving: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
        """Keep what moves, and AdamW's state of it, after ``step`` steps of a stage."""
        from safetensors.torch import save_file

        tensors = {f"value.{name}": p.detach().cpu().contiguous() for name, p in moving.items()}
        for name, p in moving.items():
            state = optimizer.state.get(p, {})
            tensors |= {f"{key}.{name}": state[key].detach().cpu().contiguous() for key in MOMENTS if key in state}
        with atomic_path(self._checkpoint) as path:
            save_file(tensors, path, {"stage": str(stage), "step": str(step)})
        self._saved = step

    @torch.no_grad()
    def load(self, stage: int, moving: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> int:
        """Undo ``save``, in place; the number of steps done, 0 where there is no checkpoint of this stage.

        Raises:
            FormatError: a damaged checkpoint.
        """
        from safetensors import SafetensorError, safe_open

        if not self._checkpoint.is_file():
            return 0
        try:
            with safe_open(self._checkpoint, "pt") as opened:
                facts, keys = opened.metadata(), set(opened.keys())
                if int(facts["stage"]) != stage:
                    return 0
                for name, p in moving.items():
                    p.copy_(opened.get_tensor(f"value.{name}"))
                    state = {key: opened.get_tensor(f"{key}.{name}") for key in MOMENTS if f"{key}.{name}" in keys}
                    optimizer.state[p] = {k: t if k == "step" else t.to(p.device) for k, t in state.items()}
        except (SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise FormatError(
                f"{self._checkpoint} is damaged ({reason}): delete it, the stage starts again", path=self._checkpoint
            ) from None
        self._saved = int(facts["step"])
        return self._saved

    def log(self, **values: Any) -> None:
        """Add a line to ``log.jsonl``."""
        with named(self.path / "log.jsonl"), open(self.path / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def forget_after(self, stage: int, step: int) -> None:
        """Drop lines of the log of steps that will be done again."""
        path = self.path / "log.jsonl"
        if not path.is_file():
            return
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        kept = [line for line in lines if (line["stage"], line["step"]) <= (stage, step)]
        with atomic_path(path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
