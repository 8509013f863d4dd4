"""Losses between the first codebook's quantized vectors and a teacher's features."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from codectok.errors import FormatError

KINDS = ("cosine", "d-axis", "t-axis")


class DistillationLoss(nn.Module):
    """A linear map of the quantized vectors q_t to the teacher's width, compared with the teacher's features s_t.

    With ``y_t = A q_t`` and the unmasked frames of an item only:

    - ``cosine``: the mean over frames of ``1 - cos(y_t, s_t)`` (Mimi: Defossez et al. 2024, section 3.3.2).
    - ``d-axis``: the mean over dimensions d of ``-log sigmoid(cos(y_:d, s_:d))``, the cosine taken along time
      (SpeechTokenizer: Zhang et al. 2023, equation 1). Whole crops of more than a few frames only: along one frame
      every cosine is 1 or -1.
    - ``t-axis``: the mean over frames of ``-log sigmoid(cos(y_t, s_t))`` (the same paper, equation 2).

    The map is made of parameters: it belongs in the optimizer and the checkpoint, and is not part of the codec.
    Codebooks learn nothing through a straight-through quantizer, but the encoder does; what the quantized vectors pass
    through on their way out (a projection of a split quantizer) does too.

    Args:
        codec_dim: width of the quantized vectors.
        teacher_dim: width of the teacher's features.
        kind: one of the above.

    Raises:
        FormatError: another kind.
    """

    def __init__(self, codec_dim: int, teacher_dim: int, kind: str = "cosine") -> None:
        super().__init__()
        if kind not in KINDS:
            raise FormatError(f"distillation {kind!r} is none of {', '.join(KINDS)}")
        self.kind = kind
        self.project = nn.Linear(codec_dim, teacher_dim)

    def forward(self, quantized: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """The loss of a batch, computed in float32; 0 (with a gradient of 0) where every frame is masked.

        Args:
            quantized: [B, T, codec_dim], the first codebook's output before any acoustic codebook is added.
            targets: [B, T, teacher_dim].
            mask: bool [B, T], True for the frames that count.
        """
        with torch.autocast(quantized.device.type, enabled=False):
            y, s = self.project(quantized.float()), targets.float()
            # where, not a product: a target that is not finite behind the mask must not reach the sum.
            y, s = (torch.where(mask[..., None], x, 0.0) for x in (y, s))
            if self.kind == "d-axis":
                similarity = F.cosine_similarity(y, s, dim=1)
                counted = mask.any(1)[:, None].expand_as(similarity)
                return -(F.logsigmoid(similarity) * counted).sum() / _share_of_joint(counted)
            similarity = F.cosine_similarity(y, s, dim=-1)
            each = 1 - similarity if self.kind == "cosine" else -F.logsigmoid(similarity)
            return (each * mask).sum() / _share_of_joint(mask)


def _share_of_joint(counted: Tensor) -> Tensor:
    """How many count, averaged over the processes, so that the mean of their losses is that of the joint batch."""
    total = counted.sum().float()
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(total)
        total = total / dist.get_world_size()
    return total.clamp_min(1e-6)
