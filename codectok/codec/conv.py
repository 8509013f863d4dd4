"""Causal convolutions over time with explicit state, on channels-last tensors [B, T, C].

The padding is that of EnCodec (Defossez et al. 2022, and the transformers implementation): all of a kernel's overlap
on the left, by zeros, by reflection or by repeating the first frame, and what a stride lacks at the end of the stream
on the right. Channels-last is what makes them fast on a CPU: [B, T, C] is an image of height 1 for oneDNN's best
kernels, a 1x1 convolution is a matrix product, and a transposed convolution is an ordinary one and a free reshape.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codectok.errors import CodectokError, FormatError

PAD_MODES = ("constant", "reflect", "replicate")
FEW_ROWS = 128
"""Output frames up to which a matrix product on copied windows beats conv2d, which first rearranges the weights."""


class CausalConv(nn.Module):
    """Causal convolution; state is the last ``kernel - stride`` input frames (after the ELU) [B, P, in_channels].

    Args:
        in_channels: C of the input.
        out_channels: C of the output.
        kernel: frames; for a stride, a multiple of it.
        stride: input frames an output frame. All blocks but the final one must be multiples of it.
        dilation: frames between the kernel's taps.
        pad_mode: how the stream is continued to the left (and, by the final block, to the right): "constant" (zeros),
            "reflect" or "replicate".
        bias: whether to add one.
        elu: apply an ELU to the input first (fused with the copy that the padding needs anyway).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        pad_mode: str = "constant",
        bias: bool = True,
        elu: bool = False,
    ) -> None:
        super().__init__()
        if pad_mode not in PAD_MODES:
            raise FormatError(f"pad_mode {pad_mode!r}: one of {', '.join(PAD_MODES)}")
        if stride > 1 and (kernel < 2 * stride or kernel % stride or dilation > 1):
            raise FormatError(f"kernel {kernel}, stride {stride}, dilation {dilation}: a strided kernel is 2+ strides")
        self.stride, self.dilation, self.pad_mode, self.elu = stride, dilation, pad_mode, elu
        self.past = (kernel - 1) * dilation + 1 - stride
        # Input frames that the first block must hold, unless it is the final one: those that get reflected.
        self.first = self.past + 1 if pad_mode == "reflect" else 1
        # [O, K, I] is at once a channels-last conv2d weight and a matrix [O, K * I]: neither needs another copy.
        self.weight = nn.Parameter(torch.randn(out_channels, kernel, in_channels) * (kernel * in_channels) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def step(self, x: Tensor, state: Tensor | None, final: bool = False) -> tuple[Tensor, Tensor]:
        """[B, T, in_channels] -> [B, ceil(T / stride), out_channels]; any T for the final block."""
        missing = -x.shape[1] % self.stride
        if missing and not final:
            raise CodectokError(f"{x.shape[1]} frames: only the final block may not be a multiple of {self.stride}")
        if state is None:
            if x.shape[1] < self.first and not final:
                raise CodectokError(f"{x.shape[1]} frames: the first block must have {self.first} to reflect")
            joined = self._start(F.elu(x) if self.elu else x, missing)
        else:
            joined = self._continue(join(state, x, self.elu), missing)
        y = convolve(joined, self.weight, self.bias, self.stride, self.dilation)
        return y, last_frames(joined, self.past)

    def _start(self, x: Tensor, right: int) -> Tensor:
        """Pad the first block [B, T, C] by ``past`` frames to the left and ``right`` frames to the right."""
        if self.pad_mode == "constant" or x.shape[1] == 0:
            return F.pad(x, (0, 0, self.past, right))
        if self.pad_mode == "replicate":
            left, end = x[:, :1].expand(-1, self.past, -1), x[:, -1:].expand(-1, right, -1)
            return torch.cat([left, x, end], 1)
        # Too short to reflect: transformers appends zeros, reflects those as well, and cuts as many frames at the end.
        zeros = max(0, max(self.past, right) - x.shape[1] + 1)
        longer = F.pad(x, (0, 0, 0, zeros))
        left, end = longer[:, 1 : self.past + 1].flip(1), _reflected_end(longer, right)
        return torch.cat([left, longer, end], 1)[:, : self.past + x.shape[1] + right]

    def _continue(self, joined: Tensor, right: int) -> Tensor:
        """Pad the final block, its past [B, P + T, C] included, by ``right`` frames to the right."""
        if right == 0:
            return joined
        if self.pad_mode == "constant":
            return F.pad(joined, (0, 0, 0, right))
        if self.pad_mode == "replicate":
            return torch.cat([joined, joined[:, -1:].expand(-1, right, -1)], 1)
        return torch.cat([joined, _reflected_end(joined, right)], 1)


class CausalConvTranspose(nn.Module):
    """Causal transposed convolution, trimmed on the right; state is the last ``kernel / stride - 1`` input frames.

    Written as a convolution to ``stride * out_channels`` channels over the input frames that reach an output frame: no
    overlap-add, so nothing of an output is ever carried.

    Args:
        in_channels: C of the input.
        out_channels: C of the output.
        kernel: output frames; a multiple of the stride.
        stride: output frames an input frame.
        elu: apply an ELU to the input first.
    """

    first = 1

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, elu: bool = False) -> None:
        super().__init__()
        if kernel % stride:
            raise FormatError(f"kernel {kernel}, stride {stride}: the kernel must be a multiple of the stride")
        self.stride, self.elu = stride, elu
        taps = kernel // stride
        self.weight = nn.Parameter(torch.randn(stride * out_channels, taps, in_channels) * (taps * in_channels) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def step(self, x: Tensor, state: Tensor | None, final: bool = False) -> tuple[Tensor, Tensor]:
        """[B, T, in_channels] -> [B, T * stride, out_channels]; ``final`` changes nothing."""
        past = self.weight.shape[1] - 1
        if state is None:
            state = x.new_zeros(x.shape[0], past, x.shape[2])
        joined = join(state, x, self.elu)
        y = convolve(joined, self.weight, self.bias.repeat(self.stride))
        return y.reshape(y.shape[0], y.shape[1] * self.stride, len(self.bias)), last_frames(joined, past)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int = 1, dilation: int = 1) -> Tensor:
    """Convolution without padding: [B, L, I] with weights [O, K, I] -> contiguous [B, N, O]."""
    batch, length, channels = x.shape
    outputs, kernel, _ = weight.shape
    span = (kernel - 1) * dilation + 1
    frames = (length - span) // stride + 1
    if frames <= 0:
        return x.new_zeros(batch, 0, outputs)
    if outputs == 1:
        # Each frame times every tap at once, then a sum along the diagonals: four times conv2d's speed.
        taps, last = F.linear(x, weight[0]), (frames - 1) * stride + 1
        y = taps[:, :last:stride, 0] + (0.0 if bias is None else bias)
        for i in range(1, kernel):
            y = y + taps[:, i * dilation : i * dilation + last : stride, i]
        return y.unsqueeze(2)
    if batch * frames <= FEW_ROWS:
        windows = x.unfold(1, span, stride)[..., ::dilation].transpose(2, 3)
        return F.linear(windows.reshape(batch, frames, kernel * channels), weight.flatten(1), bias)
    image, filters = x.transpose(1, 2).unsqueeze(2), weight.transpose(1, 2).unsqueeze(2)
    y = F.conv2d(image, filters, bias, (1, stride), (0, 0), (1, dilation))
    return y.squeeze(2).transpose(1, 2).contiguous()


def may_overwrite(x: Tensor) -> bool:
    """Whether work in place is right: no gradient looks back at it, and no autocast mixes types in it."""
    return not (torch.is_grad_enabled() or torch.is_autocast_enabled(x.device.type))


def join(past: Tensor, x: Tensor, elu: bool) -> Tensor:
    """[B, P, C] and ELU([B, T, C]) (or as it is) in one tensor [B, P + T, C]."""
    if not elu:
        return torch.cat([past, x], 1)
    if not may_overwrite(x):
        return torch.cat([past, F.elu(x)], 1)
    joined = x.new_empty(x.shape[0], past.shape[1] + x.shape[1], x.shape[2])
    joined[:, : past.shape[1]] = past
    torch.ops.aten.elu.out(x, out=joined[:, past.shape[1] :])
    return joined


def last_frames(x: Tensor, count: int) -> Tensor:
    """The last ``count`` frames of [B, T, C], copied: a view would keep the whole block's memory alive."""
    return x[:, x.shape[1] - count :].clone()


def pack_conv(weight: Tensor) -> Tensor:
    """Weights of torch's Conv1d [O, I, K] as those of :class:`CausalConv` [O, K, I]."""
    return weight.transpose(1, 2).contiguous()


def pack_conv_transpose(weight: Tensor, stride: int) -> Tensor:
    """Weights of torch's ConvTranspose1d [I, O, K] as those of :class:`CausalConvTranspose` [stride * O, taps, I].

    Output frame ``t * stride + j`` takes tap ``m * stride + j`` of input frame ``t - m``; here the oldest comes first.
    """
    inputs, outputs, kernel = weight.shape
    taps = weight.reshape(inputs, outputs, kernel // stride, stride).flip(2)
    return taps.permute(3, 1, 2, 0).reshape(stride * outputs, kernel // stride, inputs).contiguous()


def _reflected_end(x: Tensor, count: int) -> Tensor:
    """``count`` frames that continue [B, T, C] by reflection about its last frame."""
    return x[:, x.shape[1] - 1 - count : x.shape[1] - 1].flip(1)
