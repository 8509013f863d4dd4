"""Layers over time in which padding counts for nothing: convolutions, batch norm, squeeze and excite, pooling.

All take ``x`` float [B, C, T] and ``mask`` float [B, 1, T], 1 where a frame belongs to its clip.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-5


class TimeConv(nn.Module):
    """A convolution whose output frame t is centred on input frame t * stride; all beyond the clip's ends is 0.

    Args:
        channels, out: of input and output.
        kernel: odd.
        dilation, groups, stride: as in Conv1d.
    """

    def __init__(
        self, channels: int, out: int, kernel: int, dilation: int = 1, groups: int = 1, stride: int = 1
    ) -> None:
        super().__init__()
        padding = (kernel - 1) // 2 * dilation
        self.conv = nn.Conv1d(channels, out, kernel, stride, padding, dilation, groups)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, C, T] -> [B, out, ceil(T / stride)]; padded frames of the result hold anything."""
        y: Tensor = self.conv(x * mask)
        return y


class MaskedBatchNorm(nn.Module):
    """Batch norm (Ioffe and Szegedy 2015) whose training statistics are of frames that are not padding.

    In training a clip still depends on its neighbours, as in every batch norm; in eval mode it does not.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, channels: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))
        self.momentum = momentum

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, C, T] -> [B, C, T]."""
        values = x.shape[0] * x.shape[2]
        if not self.training or (values > 1 and bool(mask.all())):
            # Nothing to leave out: torch's own is several times faster.
            return F.batch_norm(x, self.mean, self.var, self.weight, self.bias, self.training, self.momentum, EPS)
        count = mask.sum()
        mean = (x * mask).sum((0, 2)) / count
        var = ((x - mean[:, None]).square() * mask).sum((0, 2)) / count
        with torch.no_grad():
            self.mean.lerp_(mean, self.momentum)
            self.var.lerp_(var * count / (count - 1).clamp_min(1), self.momentum)
        scale = self.weight * torch.rsqrt(var + EPS)
        return x * scale[:, None] + (self.bias - mean * scale)[:, None]


class ConvNorm(nn.Module):
    """TDNN layer: convolution, ReLU, batch norm, in the order of Kaldi and ECAPA-TDNN."""

    def __init__(self, channels: int, out: int, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv, self.norm = TimeConv(channels, out, kernel, dilation), MaskedBatchNorm(out)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, C, T] -> [B, out, T]."""
        y: Tensor = self.norm(self.conv(x, mask).relu(), mask)
        return y


class SqueezeExcite(nn.Module):
    """Scales each channel by what its mean over the clip says (Hu et al. 2018); ``activation`` is the inner one."""

    def __init__(self, channels: int, inner: int, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(channels, inner), activation(), nn.Linear(inner, channels), nn.Sigmoid())

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, C, T] -> [B, C, T]."""
        mean = (x * mask).sum(2) / mask.sum(2)
        return x * self.layers(mean)[..., None]


def pooled(x: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean and standard deviation over time, [B, 2 C].

    Args:
        x: float [B, C, T].
        weights: float [B, 1 or C, T], 0 at padding; they need not sum to 1.
    """
    share = weights / weights.sum(2, keepdim=True)
    mean = (x * share).sum(2)
    var = ((x - mean[..., None]).square() * share).sum(2)
    return torch.cat([mean, var.clamp_min(EPS).sqrt()], 1)
