"""One file that holds everything a run needs to go on, written whole or not at all."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from codectok.errors import FormatError
from codectok.files.atomic import atomic_path
from train_codec.recipe import Recipe

FORMAT_VERSION = 2


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings, lists and dicts of them) beside ``path``, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        torch.save({"format_version": FORMAT_VERSION, **state}, temporary)
        with open(temporary, "rb") as f:
            os.fsync(f.fileno())


def stays(path: Path, step: int) -> str:
    """What a stopped run leaves: the checkpoint of ``step``, 0 for none."""
    if not step:
        return "no checkpoint was written yet: the same command begins again"
    return f"the checkpoint of step {step} is in {path}: the same command goes on from there"


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read what :func:`write_checkpoint` wrote. Never unpickles code.

    Raises:
        FormatError: not a checkpoint, or one of another version.
    """
    try:
        # Several processes on one machine's CPU call it cpu:0, which torch.load does not know.
        place = "cpu" if torch.device(device).type == "cpu" else device
        state = torch.load(path, map_location=place, weights_only=True)
        version = state["format_version"]
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise FormatError(
            f"{path} is not a whole checkpoint ({reason}): choose another out=, or delete it", path=path
        ) from None
    if version != FORMAT_VERSION:
        raise FormatError(
            f"{path} is of version {version}, this program reads {FORMAT_VERSION}: choose another out=", path=path
        )
    return dict(state)


def random_state() -> dict[str, Any]:
    """The process's generators. Training draws from (seed, step) instead; these are for libraries that don't."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [kind, torch.from_numpy(np.asarray(keys, dtype=np.int64)), position, has_gauss, gauss],
        "python": repr(random.getstate()),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Restore :func:`random_state`."""
    from ast import literal_eval

    torch.set_rng_state(state["torch"].cpu())
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    random.setstate(literal_eval(state["python"]))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())


def check_run(path: Path, state: Mapping[str, Any], recipe: Recipe, audio: str | None) -> None:
    """Refuse a checkpoint that a run cannot go on from.

    Args:
        path: of the checkpoint, for the message.
        state: what it holds.
        recipe: of the run now.
        audio: fingerprint of what is trained on; None where that does not matter.

    Raises:
        FormatError: another value of a setting that decides which weights there are, or other audio.
    """
    now, before = recipe.flat(), state["recipe"]
    shape = {"codec", "freeze", "teacher", "teacher_layer", "teacher_dim", "balancer", *vars(recipe.config)}
    known = sorted(shape & before.keys())  # it may be from before a key was there
    changed = [f"{k} {before[k]} is now {now[k]}" for k in known if before[k] != now[k]]
    if bool(now["noise_rate"]) != bool(before.get("noise_rate", 0)):
        changed.append("noise_rate is switched on or off")
    if audio is not None and state["audio"] not in ("", audio):
        changed.append("the audio is not the same")
    if changed:
        raise FormatError(f"{path} is of another run ({', '.join(changed)}): choose another out=", path=path)
