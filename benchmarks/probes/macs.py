"""Multiply-accumulates of a probe."""

from __future__ import annotations

import copy
import warnings

import torch
from torch import Tensor, nn

from ..contract import InputInfo

SECONDS = 1


def macs_per_second(model: nn.Module, info: InputInfo) -> float | None:
    """Multiply-accumulates per second of audio, counted on a clip of ``SECONDS``; None if they cannot be.

    Products of matrices and convolutions count, sums and activations do not.
    """
    from torch.utils.flop_counter import FlopCounterMode

    frames = max(1, round(SECONDS * info.frame_rate))
    x: Tensor
    if info.kind == "discrete":
        x = torch.zeros(1, len(info.codebook_sizes), frames, dtype=torch.int64)
    else:
        x = torch.zeros(1, frames, info.dim)
    counter = FlopCounterMode(display=False)
    copied = copy.deepcopy(model).cpu().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # Without oneDNN an LSTM runs as products of matrices, which can be counted.
            with torch.no_grad(), torch.backends.mkldnn.flags(enabled=False), counter:
                copied(x, torch.tensor([frames]))
        except (RuntimeError, NotImplementedError):
            return None
    return float(counter.get_total_flops() / 2 / SECONDS)
