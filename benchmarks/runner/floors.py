"""The floor that a probe stands on when its training labels say nothing."""

from __future__ import annotations

import random
from dataclasses import replace

from ..contract import Clip, Dataset, Split


def shuffle_labels(dataset: Dataset, split: Split, seed: int) -> tuple[Dataset, Split]:
    """Labels and speakers permuted together among the training clips, and among those of validation; tests as they are.

    What a probe scores then is the floor of its data: it knows how often labels come, and nothing else.
    """

    def mixed(clips: tuple[Clip, ...], name: str) -> dict[Clip, Clip]:
        order = list(range(len(clips)))
        random.Random(f"{name} {seed}").shuffle(order)
        return {
            c: replace(c, label=clips[i].label, speaker=clips[i].speaker) for c, i in zip(clips, order, strict=True)
        }

    train, valid = mixed(dataset.train, "train"), mixed(dataset.valid, "valid")
    mixed_dataset = replace(dataset, train=tuple(train.values()), valid=tuple(valid.values()))
    mixed_split = Split(
        tuple(replace(e, clip=train[e.clip]) for e in split.train),
        tuple(replace(e, clip=valid[e.clip]) for e in split.valid),
        split.tests,
    )
    return mixed_dataset, mixed_split
