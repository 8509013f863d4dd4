"""Whole probes: front end, model, and what its answer is trained with."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..contract import InputInfo
from . import ProbeOptions, build_encoder, build_pooling, frame_size
from .frontend import Frontend

MIN_LABEL_RATE = 30.0
"""Labels per second that a recogniser must be able to write: characters of fast English are about 20 a second, and CTC
needs a blank between two equal ones."""


class ClipProbe(nn.Module):
    """A vector a clip, and logits of classes.

    Args:
        name: of the probe.
        info: of the input.
        classes: to tell apart.
        options: see :class:`ProbeOptions`.
        vectors: code vectors to start from, or None.
        margin: of additive angular margin softmax (Deng et al. 2019, scale 30), for verification; 0 is plain softmax.
    """

    def __init__(
        self,
        name: str,
        info: InputInfo,
        classes: int,
        options: ProbeOptions,
        vectors: Sequence[Tensor] | None = None,
        margin: float = 0.0,
    ) -> None:
        super().__init__()
        dim = frame_size(name, options)
        self.frontend = Frontend(info, dim, vectors)
        self.model = build_pooling(name, dim, options, embed=margin > 0)
        self.classes, self.margin = nn.Linear(self.model.out_dim, classes, bias=margin == 0), margin

    def embed(self, x: Tensor, lengths: Tensor) -> Tensor:
        """A batch as ``collate`` makes it -> [B, E]."""
        out: Tensor = self.model(self.frontend(x, lengths), lengths)
        return out

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Logits [B, classes]."""
        y: Tensor = self.embed(x, lengths)
        if not self.margin:
            out: Tensor = self.classes(y)
            return out
        return SCALE * F.normalize(y) @ F.normalize(self.classes.weight).T

    def loss(self, x: Tensor, lengths: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy; with a margin, the right class must win by that angle (radians)."""
        logits = self(x, lengths)
        if self.margin:
            cosine = (logits / SCALE).clamp(-1 + 1e-6, 1 - 1e-6)
            right = F.one_hot(labels, logits.shape[1]).bool()
            # Beyond pi - margin the angle would turn back: there the logit falls on in a straight line.
            turned = torch.where(
                cosine > math.cos(math.pi - self.margin),
                torch.cos(torch.acos(cosine) + self.margin),
                cosine - self.margin * math.sin(self.margin),
            )
            logits = SCALE * torch.where(right, turned, cosine)
        return F.cross_entropy(logits, labels)


SCALE = 30.0


class FrameProbe(nn.Module):
    """Labels a frame, for CTC (Graves et al. 2006); label 0 is the blank.

    An input of fewer than ``MIN_LABEL_RATE`` frames per second gets several labels a frame, the least number that is
    enough: at 12.5 Hz, 3. Frames are normalised (LayerNorm) before they are labelled.

    Args:
        name: of the probe.
        info: of the input.
        labels: with the blank.
        options: see :class:`ProbeOptions`.
        vectors: code vectors to start from, or None.
    """

    def __init__(
        self,
        name: str,
        info: InputInfo,
        labels: int,
        options: ProbeOptions,
        vectors: Sequence[Tensor] | None = None,
    ) -> None:
        super().__init__()
        dim = frame_size(name, options)
        self.per_frame = max(1, math.ceil(MIN_LABEL_RATE / float(info.frame_rate)))
        self.frontend, self.model = Frontend(info, dim, vectors), build_encoder(name, dim, options)
        # Without the norm, an LSTM of small outputs stays long where CTC starts: blanks alone.
        self.norm = nn.LayerNorm(self.model.out_dim)
        self.labels = nn.Linear(self.model.out_dim, self.per_frame * labels)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log probabilities [B, T', labels] and their numbers [B], T' = T x labels a frame."""
        y = self.labels(self.norm(self.model(self.frontend(x, lengths), lengths)))
        y = y.unflatten(2, (self.per_frame, -1)).flatten(1, 2)
        return y.log_softmax(2), lengths * self.per_frame

    def loss(self, x: Tensor, lengths: Tensor, targets: Sequence[Tensor]) -> Tensor:
        """Mean over clips of the CTC loss a label; a clip too short for its labels counts 0 and teaches nothing."""
        logs, frames = self(x, lengths)
        counts = torch.tensor([len(t) for t in targets], device=logs.device)
        joined = torch.cat(list(targets)).to(logs.device)
        every = F.ctc_loss(logs.transpose(0, 1), joined, frames, counts, reduction="none", zero_infinity=True)
        return (every / counts.clamp_min(1)).mean()
