"""Pieces of clips, for training: long clips cost time, and a piece says who speaks as well as the whole."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..batches import num_frames
from ..contract import Example, InputInfo


def crop(example: Example, info: InputInfo, seconds: float, generator: torch.Generator) -> Example:
    """A piece of that length at a place that is drawn; the example itself if it is no longer, or seconds is 0."""
    frames = max(1, round(seconds * info.frame_rate))
    room = num_frames(example) - frames
    if seconds <= 0 or room <= 0:
        return example
    start = int(torch.randint(room + 1, (), generator=generator))
    time = -1 if info.kind == "discrete" else -2
    return replace(example, x=example.x.narrow(time, start, frames))
