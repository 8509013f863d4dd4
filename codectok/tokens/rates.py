"""Bitrates of codebooks, and the number of codebooks that a bitrate means."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from codectok.errors import CodectokError, CodeRangeError

SLACK = 1.0005
"""A bitrate typed with two decimals must find its codebooks: 1.1 kbit/s means the 1.1 of 8 x 11 bit."""


def nominal_bitrate(frame_rate: Fraction, codebook_sizes: Sequence[int]) -> float:
    """Kbit/s of codes of these sizes: log2 of every codebook's size, times the frame rate in Hz."""
    return float(frame_rate) * sum(math.log2(n) for n in codebook_sizes) / 1000


def choose_codebooks(
    name: str, frame_rate: Fraction, codebook_sizes: Sequence[int], num_codebooks: Any, bitrate: Any
) -> int:
    """The number of first codebooks that a count, or a bitrate in kbit/s, or neither (all) asks for.

    Args:
        name: how messages call the tokenizer.
        frame_rate: Hz.
        codebook_sizes: of all codebooks there are.
        num_codebooks: a count, or None.
        bitrate: the most kbit/s, or None.

    Raises:
        CodectokError: both are given, or something else than numbers.
        CodeRangeError: more codebooks than there are, or a bitrate below the first one's.
    """
    top = len(codebook_sizes)
    if num_codebooks is not None and bitrate is not None:
        raise CodectokError("give num_codebooks or bitrate, not both")
    if num_codebooks is not None and not isinstance(num_codebooks, numbers.Integral):
        raise CodectokError(f"num_codebooks is {num_codebooks!r}: give a whole number")
    if bitrate is not None and not isinstance(bitrate, numbers.Real):
        raise CodectokError(f"bitrate is {bitrate!r}: give a number, in kbit/s")
    if bitrate is not None:
        rates = [nominal_bitrate(frame_rate, codebook_sizes[:k]) for k in range(1, top + 1)]
        num_codebooks = sum(r <= float(bitrate) * SLACK for r in rates)
        if num_codebooks == 0:
            raise CodeRangeError(f"{name} needs at least {rates[0]:g} kbit/s, {bitrate:g} asked for")
    if num_codebooks is None:
        return top
    if not 1 <= num_codebooks <= top:
        raise CodeRangeError(f"{name} has {top} codebooks, {num_codebooks} asked for")
    return int(num_codebooks)
