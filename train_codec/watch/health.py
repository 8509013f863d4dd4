"""What must not drift unseen: use of the codebooks over a log interval, and level as heard at every validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from codectok.codec.health import health_of_counts
from codectok.metrics.level import OCTAVE_METRICS
from codectok.metrics.registry import get_metric

HEARD = ("level", *OCTAVE_METRICS, "loud_frames", "clipped")
"""Metrics whose bounds are watched: losses and PESQ are deaf to all of them."""


class CodebookHealth:
    """Histogram of the codes of every level since the last row, at the price of one scatter a step.

    Args:
        sizes: codes of each level.
        device: where the codes are; nothing is copied from it before :meth:`row`.
    """

    def __init__(self, sizes: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.sizes = tuple(sizes)
        self._offsets = torch.tensor([0, *torch.tensor(self.sizes).cumsum(0).tolist()], device=device)
        # Dropped frames go to one more bin at the end: masking them out would make a GPU wait.
        self.counts = torch.zeros(sum(self.sizes) + 1, dtype=torch.int64, device=device)
        self.revived = torch.zeros(len(self.sizes), dtype=torch.int64, device=device)

    def add(self, codes: Tensor, revived: Sequence[int] | Tensor | None = None) -> None:
        """Count codes int64 [B, K, T] of the first K levels; -1 is a dropped frame.

        Args:
            codes: of one step.
            revived: codes brought back to life in that step, one number a level.
        """
        offsets = self._offsets[: codes.shape[1]].view(1, -1, 1)
        bins = torch.where(codes < 0, self.counts.numel() - 1, codes + offsets).flatten()
        self.counts.scatter_add_(0, bins, torch.ones_like(bins))
        if revived is not None:
            self.revived += torch.as_tensor(revived, device=self.revived.device)

    def reduce(self) -> None:
        """Sum over all processes, if there are several: every one of them must call it, just before :meth:`row`."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(self.counts)  # not revived: that is the same in every process

    def row(self) -> dict[str, list[float]]:
        """One entry a level, and start again.

        ``used``: share of the codes that occurred. ``bits``: entropy of the code counts. ``perplexity``: 2^bits, the
        number of equally likely codes with that entropy. ``revived``: codes. ``frames``: counted; with fewer than a
        few times the codebook's size, the other figures are low for want of frames.
        """
        rows: dict[str, list[float]] = {name: [] for name in ("used", "perplexity", "bits", "revived", "frames")}
        levels = self.counts[:-1].cpu().split(self.sizes)
        for level, revived in zip(levels, self.revived.tolist(), strict=True):
            (health,) = health_of_counts([level])
            rows["used"].append(round(health.used, 4))
            rows["perplexity"].append(round(health.perplexity, 2))
            rows["bits"].append(round(health.entropy, 3))
            rows["revived"].append(revived)
            rows["frames"].append(int(level.sum()))
        self.counts.zero_()
        self.revived.zero_()
        return rows


def level_warning(scores: Mapping[str, float]) -> str:
    """One line on what a validation found past its bound (see :data:`HEARD`), by bitrate; "" where all is within.

    Args:
        scores: what :func:`train_codec.validate.validate` returned.
    """
    found: dict[str, list[str]] = {}
    for depth in sorted(int(key[2:]) for key in scores if key.startswith("n_") and key[2:].isdigit()):
        for metric in map(get_metric, HEARD):
            value = scores.get(f"{metric.name}_{depth}", 0.0)
            if metric.too_far(value):
                size = f"{value:{'+' if metric.signed else ''}.{metric.decimals}f} {metric.unit}"
                rate = f"{scores.get(f'kbps_{depth}', float('nan')):g} kbit/s"
                found.setdefault(rate, []).append(f"{metric.label} {size} (bound {metric.bound:g})")
    return "; ".join(f"at {rate}: {', '.join(words)}" for rate, words in found.items())
