"""Runs of equal frames."""

from __future__ import annotations

import numpy as np


def merged_runs(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first frame of each run of equal ones, [K, N] of [K, T], and the frames that each has, int64 [N].

    ``np.repeat(*merged_runs(codes), axis=1)`` is the inverse.
    """
    # torch.unique_consecutive(dim=1) says the same at ten times the cost a call.
    first = np.ones(codes.shape[1], bool)
    np.any(codes[:, 1:] != codes[:, :-1], axis=0, out=first[1:])
    starts = np.flatnonzero(first)
    return codes[:, starts], np.diff(starts, append=codes.shape[1])
