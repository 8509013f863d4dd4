"""What every projector is: features of an audio encoder in, soft tokens of a language model out.

Padding is dealt with here, once: it is zeroed before and after, so no projector can let it leak into valid frames.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from codectok.errors import CodectokError
from codectok.llm.continuous.scatter import check_lengths, frame_mask


class ProjectorConfig:
    """Base of the options of projectors, frozen dataclasses of plain values.

    Options of type int are counts, 1 or more; ``tail`` is what becomes of frames that fill no whole group.

    Raises:
        CodectokError: a value that is not one of these.
    """

    tail: str

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.type in ("int", "int | None") and value is not None and (not isinstance(value, int) or value < 1):
                raise CodectokError(f"{field.name} is {value!r}: give a whole number, 1 or more")
        if getattr(self, "tail", "pad") not in ("pad", "drop"):
            raise CodectokError(f"tail {self.tail!r} is unknown: pad (keep the last group) or drop (leave it out)")


class Projector(nn.Module, abc.ABC):
    """Features [B, T, in_dim] -> soft tokens [B, T', out_dim].

    Args:
        in_dim: D of the encoder's features.
        out_dim: d, the width of the language model.
        config: of the class in ``Config``; None for its defaults.
    """

    Config: ClassVar[type]
    """The dataclass of its options."""

    def __init__(self, in_dim: int, out_dim: int, config: Any = None) -> None:
        super().__init__()
        self.in_dim, self.out_dim = in_dim, out_dim
        self.config: Any = self.Config() if config is None else config

    @abc.abstractmethod
    def out_length(self, frames: int) -> int:
        """T' of T frames, exact; 0 for 0. What ``expand_placeholders`` is given."""

    @abc.abstractmethod
    def _project(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, T, D] with zeros where ``mask`` bool [B, T] is false, T >= 1 -> [B, T', d]; padding may hold anything."""

    @torch.no_grad()
    def lengths_of(self, features: Tensor, lengths: Tensor | Sequence[int] | None = None) -> Tensor:
        """Soft tokens of each clip of a batch [B, T, in_dim], int64 [B]."""
        lengths = self._clean(features, lengths)[1]
        return torch.tensor([self.out_length(n) for n in lengths.tolist()], dtype=torch.int64, device=features.device)

    def forward(self, features: Tensor, lengths: Tensor | Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """Project a padded batch.

        Args:
            features: [B, T, in_dim]; padding may hold anything.
            lengths: [B], valid frames; None for T each.

        Returns:
            Soft tokens [B, T', out_dim], 0 at padding, and their lengths int64 [B].

        Raises:
            CodectokError: another width, or lengths that do not fit.
        """
        out_lengths = self.lengths_of(features, lengths)
        x, lengths = self._clean(features, lengths)
        if not out_lengths.any():
            return x.new_zeros(len(x), 0, self.out_dim), out_lengths
        out = self._project(x, frame_mask(lengths, x.shape[1]))
        return _zero_padding(out, out_lengths), out_lengths

    def _clean(self, features: Tensor, lengths: Tensor | Sequence[int] | None) -> tuple[Tensor, Tensor]:
        """Checked; cut to the longest item; zeros at padding, which a mask of attention alone would not make of NaN."""
        lengths = check_lengths(lengths, features)
        if features.shape[2] != self.in_dim:
            raise CodectokError(f"features of width {features.shape[2]}: this projector takes {self.in_dim}")
        longest = int(lengths.max()) if len(lengths) else 0
        return _zero_padding(features[:, :longest], lengths), lengths


def _zero_padding(x: Tensor, lengths: Tensor) -> Tensor:
    return x.masked_fill(~frame_mask(lengths, x.shape[1])[:, :, None], 0.0)


def grouped_length(frames: int, size: int, tail: str) -> int:
    """Groups of ``size`` frames: ceil(T / size) where the tail is padded, floor(T / size) where it is dropped."""
    return -(-frames // size) if tail == "pad" else frames // size


def group_frames(x: Tensor, mask: Tensor, size: int, tail: str) -> tuple[Tensor, Tensor]:
    """[B, T, D] and bool [B, T] -> [B, G, size, D] and [B, G, size], the tail filled with zeros or dropped."""
    groups = grouped_length(x.shape[1], size, tail)
    extra = max(0, groups * size - x.shape[1])
    x = nn.functional.pad(x, (0, 0, 0, extra))[:, : groups * size]
    mask = nn.functional.pad(mask, (0, extra))[:, : groups * size]
    return x.unflatten(1, (groups, size)), mask.unflatten(1, (groups, size))


def sinusoids(frames: int, dim: int, like: Tensor) -> Tensor:
    """Positions [frames, dim] as in Vaswani et al. 2017: sines in the first half, cosines in the second."""
    speed = torch.exp(torch.arange(dim // 2, device=like.device) * (-math.log(10000.0) / max(1, dim // 2 - 1)))
    angle = torch.arange(frames, device=like.device)[:, None] * speed
    return nn.functional.pad(torch.cat([angle.sin(), angle.cos()], 1), (0, dim % 2)).to(like.dtype)
