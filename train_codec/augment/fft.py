"""Sizes that a fast Fourier transform likes."""

from __future__ import annotations


def fast_size(least: int) -> int:
    """The smallest of 2^n, 5/4 2^n and 3/2 2^n that is ``least`` or more."""
    power = 1 << max(2, (least - 1).bit_length())
    return next(size for size in (power * 5 // 8, power * 3 // 4, power) if size >= least)
