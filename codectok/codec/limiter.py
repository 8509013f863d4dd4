"""What keeps samples below full scale, one by one: streams stay what they are."""

from __future__ import annotations

import torch
from torch import Tensor


def limit(samples: Tensor, knee: float, room: float) -> Tensor:
    """Samples of any shape below ``knee + room``: unchanged up to the knee, then bent by a tanh."""
    over = (samples.abs() - knee).clamp_min(0)
    return torch.where(over > 0, samples.sign() * (knee + room * torch.tanh(over / room)), samples)
