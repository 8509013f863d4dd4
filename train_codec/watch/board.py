"""TensorBoard: every figure of the log, and audio to listen to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from codectok.extras import need


class Board:
    """Event files in a folder, for ``tensorboard --logdir FOLDER``.

    Args:
        folder: of the event files.
        step: that a resumed run goes on from; what an earlier run wrote of later steps is no longer shown.

    Raises:
        MissingPackageError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        need("plots while training need", "train", "tensorboard", otherwise="train with tensorboard=false")
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=step or None)

    def scalars(self, step: int, row: Mapping[str, Any]) -> None:
        """A row of the log: numbers by their names, ``{"val": {"pesq_6": 2}}`` as val/pesq_6, lists one by one."""
        for name, value in flatten(row).items():
            self._writer.add_scalar(name, value, step)

    def audio(self, step: int, name: str, samples: np.ndarray | torch.Tensor, rate: int) -> None:
        """Samples float [S] at ``rate`` Hz; values outside [-1, 1] are clipped."""
        wave = torch.as_tensor(samples).detach().float().cpu().clamp(-1.0, 1.0)
        self._writer.add_audio(name, wave[None], step, sample_rate=rate)

    def close(self) -> None:
        """Write out what is held back."""
        self._writer.close()


def flatten(row: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers in a nested row, by their paths; ``step`` and whatever is no number are left out."""
    found: dict[str, float] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            found |= flatten(value, f"{prefix}{name}/")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            found |= flatten({f"{i:02d}": v for i, v in enumerate(value)}, f"{prefix}{name}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and f"{prefix}{name}" != "step":
            found[f"{prefix}{name}"] = float(value)
    return found
