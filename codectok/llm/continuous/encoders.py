"""Features of several encoders side by side (SALMONN, Tang et al. 2024: Whisper + BEATs; WavLLM, Hu et al. 2024).

They must mean the same time first. Frame t of a stream of r frames a second covers [t / r, (t + 1) / r), so both
sides are exact fractions and no drift can build up over a long clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn

from codectok.errors import CodectokError
from codectok.llm.continuous.scatter import check_lengths, frame_mask


def aligned_length(frames: int, rate: Fraction, to: Fraction) -> int:
    """Frames at ``to`` that begin within T frames at ``rate``: ceil(T to / rate)."""
    return -(-frames * to // rate)


def align_frames(
    features: Tensor, lengths: Tensor | Sequence[int] | None, rate: Fraction, to: Fraction
) -> tuple[Tensor, Tensor]:
    """Bring features to another frame rate: held where it is higher, averaged where it is lower.

    With q = rate / to, frame j is the mean of frames floor(j q) to max(floor(j q) + 1, floor((j + 1) q)) - 1. With
    q >= 1 every source frame counts in one output frame, and in one only.

    Args:
        features: [B, T, D] at ``rate``; padding may hold anything.
        lengths: [B]; None for T each.
        rate: frames a second, exact.
        to: frames a second wanted.

    Returns:
        [B, T', D], 0 at padding, and int64 [B] lengths by ``aligned_length``.
    """
    lengths = check_lengths(lengths, features)
    mask = frame_mask(lengths, features.shape[1])
    x = features.masked_fill(~mask[:, :, None], 0.0)
    out_lengths = [aligned_length(n, rate, to) for n in lengths.tolist()]
    frames, q = max(out_lengths, default=0), Fraction(rate) / Fraction(to)
    first = [j * q.numerator // q.denominator for j in range(frames + 1)]
    start = torch.tensor(first, dtype=torch.int64, device=x.device)
    found = torch.tensor(out_lengths, dtype=torch.int64, device=x.device)
    if q < 1:
        out = x[:, start[:-1]]
    else:
        owner = torch.searchsorted(start, torch.arange(x.shape[1], device=x.device), right=True) - 1
        owner = owner.clamp(max=frames)  # padding behind the longest item goes to a frame that is cut off
        out = x.new_zeros(len(x), frames + 1, x.shape[2]).index_add(1, owner, x)[:, :frames]
        count = x.new_zeros(len(x), frames + 1).index_add(1, owner, mask.to(x.dtype))[:, :frames]
        out = out / count.clamp(min=1)[:, :, None]
    return out.masked_fill(~frame_mask(found, frames)[:, :, None], 0.0), found


class EncoderConcat(nn.Module):
    """Several encoders' features, layer-normed each, aligned and put side by side: what a projector then reads.

    Args:
        dims: D of each encoder.
        rates: frames a second of each, exact.
        rate: frames a second to bring them to; None for the first encoder's.

    Raises:
        CodectokError: not one rate for each, or one that is not positive.
    """

    def __init__(
        self, dims: Sequence[int], rates: Sequence[Fraction | int], rate: Fraction | int | None = None
    ) -> None:
        super().__init__()
        if not dims or len(dims) != len(rates) or min(rates) <= 0 or (rate is not None and rate <= 0):
            raise CodectokError(f"dims {list(dims)}, rates {list(rates)}: give one positive rate for each encoder")
        self.rates = [Fraction(r) for r in rates]
        self.rate = self.rates[0] if rate is None else Fraction(rate)
        self.norms = nn.ModuleList(nn.LayerNorm(d) for d in dims)
        self.out_dim = sum(dims)

    def out_length(self, *frames: int) -> int:
        """The shortest of ceil(T_i rate / rate_i): time that all encoders cover."""
        return min(aligned_length(n, r, self.rate) for n, r in zip(frames, self.rates, strict=True))

    def forward(
        self, features: Sequence[Tensor], lengths: Sequence[Tensor | Sequence[int] | None] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Features [B, T_i, D_i] and lengths [B] of each encoder -> [B, T, sum of D_i], 0 at padding, and lengths [B].

        Raises:
            CodectokError: not as many features as encoders, or shapes that do not fit.
        """
        lengths = [None] * len(features) if lengths is None else lengths
        if not len(features) == len(lengths) == len(self.rates) or len({len(f) for f in features}) != 1:
            raise CodectokError(f"{len(features)} features for {len(self.rates)} encoders: give one batch of each")
        aligned = [
            align_frames(norm(_clean(f, n)), n, r, self.rate)
            for norm, f, n, r in zip(self.norms, features, lengths, self.rates, strict=True)
        ]
        shortest = torch.stack([n for _, n in aligned]).amin(0)
        frames = int(shortest.max()) if len(shortest) else 0
        out = torch.cat([x[:, :frames] for x, _ in aligned], 2)
        return out.masked_fill(~frame_mask(shortest, frames)[:, :, None], 0.0), shortest


def _clean(features: Tensor, lengths: Tensor | Sequence[int] | None) -> Tensor:
    """Zeros at padding: the norm's gradient would turn NaN there into NaN of its weights."""
    return features.masked_fill(~frame_mask(check_lengths(lengths, features), features.shape[1])[:, :, None], 0.0)
