"""What some tokenizers can do beside encoding, as Protocols: ask with ``isinstance``."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class ExplainsCodes(Protocol):
    """It can say how far a feature is from every code, so that a tie of two codes can be shown."""

    def code_distances(self, feature: Tensor, codes: Tensor, level: int) -> Tensor:
        """Distances [size] of one feature [D] to the codes of ``level``, after the codes [K] of the levels before."""


@runtime_checkable
class WorksInBlocks(Protocol):
    """It runs long audio block by block with carried state; the codes do not depend on the block."""

    block_frames: int
    """Frames a block; may be set."""
    least_block_frames: int
    """Fewest that a block may have."""


@runtime_checkable
class WorksInWindows(Protocol):
    """It runs long audio in windows that overlap, of which each frame sees its own alone."""

    window_frames: int
    """Frames a window."""
