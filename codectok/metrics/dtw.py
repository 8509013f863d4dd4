"""Dynamic time warping of many short pairs at once, normalised by the length of the path.

Sakoe and Chiba 1978 with the steps (1, 0), (0, 1) and (1, 1), all of weight 1, as ABX is computed with (Schatz et al.
2013): the least total cost of a path from the first frames of both to the last, divided by the number of its cells.
Where equally cheap paths differ in length, it is the path found by going back from the end: to the diagonal if nothing
is cheaper, else to the cheaper neighbour, and of two equal ones to that with the shorter path, so that
``d(x, y) = d(y, x)``.
"""

from __future__ import annotations

import numpy as np


def dtw(costs: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Mean cost on the cheapest path of each pair.

    Args:
        costs: float [P, N, M], the distance of every frame of the first to every frame of the second, padded at will.
        rows: int [P], frames of the first of each pair, 1 to N.
        columns: int [P], frames of the second, 1 to M.

    Returns:
        float64 [P].
    """
    pairs, height, width = costs.shape
    cells = np.ascontiguousarray(np.moveaxis(costs, 0, 2), dtype=np.float64)
    result = np.empty(pairs)
    # Row by row, with a border: total[j + 1] is the cost of the best path to column j, steps[j + 1] its cells.
    total, steps = np.full((width + 1, pairs), np.inf), np.zeros((width + 1, pairs))
    total[0] = 0.0
    for i in range(height):
        row, row_steps = np.full((width + 1, pairs), np.inf), np.zeros((width + 1, pairs))
        for j in range(width):
            diagonal, up, left = total[j], total[j + 1], row[j]
            sideways = (left < up) | ((left == up) & (row_steps[j] <= steps[j + 1]))
            least = np.where(sideways, left, up)
            straight = diagonal <= least
            row[j + 1] = cells[i, j] + np.where(straight, diagonal, least)
            row_steps[j + 1] = 1 + np.where(straight, steps[j], np.where(sideways, row_steps[j], steps[j + 1]))
        ended = np.flatnonzero(rows == i + 1)
        result[ended] = row[columns[ended], ended] / row_steps[columns[ended], ended]
        total, steps = row, row_steps
    return result
