"""Which clips stand in which batch: a pure function of their lengths, the seed and the step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from codectok.errors import CodectokError

from .contract import Example

POOL = 8
"""Batches whose clips are sorted by length together: little padding, and still another mix in each epoch."""


def num_frames(example: Example) -> int:
    """Frames of an example: T of [K, T] codes, of [T, D] features and of [L, T, D] features of several layers."""
    return int(example.x.shape[-1] if not torch.is_floating_point(example.x) else example.x.shape[-2])


class Batches:
    """Endless batches: each epoch has every clip once, in an order of its own.

    Args:
        lengths: frames of each clip.
        size: clips in a batch; an epoch's last batch may be smaller.
        seed: of the orders.
    """

    def __init__(self, lengths: Sequence[int], size: int, seed: int) -> None:
        if not lengths or size < 1:
            raise CodectokError(f"{len(lengths)} clips in batches of {size}: there is nothing to train on")
        self._lengths, self._size, self._seed = np.asarray(lengths), size, seed
        self._epoch: tuple[int, list[list[int]]] = (-1, [])

    @property
    def per_epoch(self) -> int:
        """Batches in an epoch."""
        return -(-len(self._lengths) // self._size)

    def at(self, step: int) -> list[int]:
        """Numbers of the clips in the batch of a step, counted from 0."""
        epoch, place = divmod(step, self.per_epoch)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self._order(epoch))
        return self._epoch[1][place]

    def _order(self, epoch: int) -> list[list[int]]:
        rng = np.random.default_rng([self._seed, epoch])
        order = rng.permutation(len(self._lengths))
        pool = POOL * self._size
        pools = [order[i : i + pool] for i in range(0, len(order), pool)]
        # Batches are cut after sorting over pools joined: only the very last one can be smaller.
        by_length = np.concatenate([p[np.argsort(self._lengths[p], kind="stable")] for p in pools])
        batches = [by_length[i : i + self._size].tolist() for i in range(0, len(by_length), self._size)]
        return [batches[i] for i in rng.permutation(len(batches))]
