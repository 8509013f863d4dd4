"""CTC compressor: frames of one CTC label become one soft token (Gaido et al. 2021; Speech-LLaMA, Wu et al. 2023).

A linear CTC head labels every frame by its argmax; each run of equal labels is merged by an average, and runs of
blank are dropped. The number of soft tokens follows the speech instead of the clock, so it is known only from the
audio: count with ``lengths_of`` before the prompt is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codectok.errors import CodectokError
from codectok.llm.continuous.projector import Projector, ProjectorConfig
from codectok.llm.continuous.scatter import frame_mask

BLANK = 0
"""The CTC label of no label; others are 1..labels."""


@dataclass(frozen=True)
class CTCCompressorConfig(ProjectorConfig):
    """Options of :class:`CTCCompressor`.

    Attributes:
        labels: of the CTC head, blank not counted (phones, characters or pieces).
        merge: "average" of a run; "weighted" by the probability of the run's label; "softmax" of that probability.
        drop_blank: leave runs of blank out; otherwise each becomes a soft token too.
        bias: of the linear layer behind.
    """

    labels: int = 64
    merge: str = "average"
    drop_blank: bool = True
    bias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.merge not in ("average", "weighted", "softmax"):
            raise CodectokError(f"merge {self.merge!r} is unknown: average, weighted or softmax")


class CTCCompressor(Projector):
    """CTC head, merging of runs, linear layer."""

    Config = CTCCompressorConfig

    def __init__(self, in_dim: int, out_dim: int, config: CTCCompressorConfig | None = None) -> None:
        super().__init__(in_dim, out_dim, config)
        self.head = nn.Linear(in_dim, self.config.labels + 1)
        self.linear = nn.Linear(in_dim, out_dim, self.config.bias)

    def out_length(self, frames: int) -> int:
        """Not a matter of T alone, of which it is at most: count with ``lengths_of``.

        Raises:
            CodectokError: always, but for 0 frames.
        """
        if frames:
            raise CodectokError("a CTC compressor's length depends on the audio: count with lengths_of(features)")
        return 0

    @torch.no_grad()
    def lengths_of(self, features: Tensor, lengths: Tensor | Sequence[int] | None = None) -> Tensor:
        """Soft tokens of each clip, int64 [B]: runs of equal argmax labels, those of blank not counted if dropped."""
        return self._runs(*self._clean(features, lengths))[2]

    def forward(self, features: Tensor, lengths: Tensor | Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """As of :class:`Projector`; the lengths are those of ``lengths_of``."""
        x, lengths = self._clean(features, lengths)
        log_probs, run, counts = self._runs(x, lengths)
        tokens = int(counts.max()) if len(counts) else 0
        # One matrix product merges all: W [B, T', T] has the weight of frame t in token t'.
        member = F.one_hot(run.clamp(min=0), tokens + 1)[:, :, :tokens].mT.to(x.dtype) * (run >= 0)[:, None]
        out = self.linear(self._weights(member, log_probs).to(x.dtype) @ x)
        return out.masked_fill(~frame_mask(counts, tokens)[:, :, None], 0.0), counts

    def ctc_loss(
        self, features: Tensor, lengths: Tensor | Sequence[int] | None, targets: Tensor, target_lengths: Tensor
    ) -> Tensor:
        """CTC loss of the head in nats: the mean over clips, each divided by its target length.

        Args:
            features: [B, T, D].
            lengths: [B].
            targets: int64 [B, N] labels 1..labels, padded.
            target_lengths: [B]. Targets longer than the audio allows count 0.
        """
        x, lengths = self._clean(features, lengths)
        log_probs = self._log_probs(x)
        return F.ctc_loss(log_probs.transpose(0, 1), targets, lengths, target_lengths, BLANK, zero_infinity=True)

    def _project(self, x: Tensor, mask: Tensor) -> Tensor:
        return self(x, mask.sum(1))[0]

    def _log_probs(self, x: Tensor) -> Tensor:
        return self.head(x).float().log_softmax(-1)

    def _runs(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probability [B, T] of each frame's label; its token's index [B, T], -1 for none; tokens [B]."""
        best, label = self._log_probs(x).max(-1)
        mask = frame_mask(lengths, x.shape[1])
        starts = mask.clone()
        starts[:, 1:] &= label[:, 1:] != label[:, :-1]
        kept = mask & (label != BLANK) if self.config.drop_blank else mask
        run = torch.where(kept, (starts & kept).cumsum(1) - 1, -1)
        return best, run, (starts & kept).sum(1)

    def _weights(self, member: Tensor, log_probs: Tensor) -> Tensor:
        """Each token's weights over its frames, which sum to 1."""
        if self.config.merge == "softmax":
            # Of the probability itself, as published: within a run it lies between 0 and 1, the weights are gentle.
            member = member * log_probs.exp().exp()[:, None]
        elif self.config.merge == "weighted":
            member = member * log_probs.exp()[:, None]
        return member / member.sum(2, keepdim=True).clamp(min=torch.finfo(member.dtype).tiny)
