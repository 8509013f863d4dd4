"""`codectok units`: fit, merge and score speech units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from codectok.cli.lazy import LazyGroup

COMMANDS = {
    "fit": ("kmeans_units.fit_cli:fit", "Fit a unit tokenizer: encoder, layer, k-means."),
    "bpe": ("kmeans_units.bpe_cli:bpe", "Train BPE over units."),
    "score": ("kmeans_units.score_cli:score", "Measure the quality of units."),
}


class Subgroup(LazyGroup):
    """A group below the main one: entry points of other packages are commands of that alone."""

    plugins: Mapping[str, Any] = {}  # type: ignore[assignment]


@click.group(cls=Subgroup, table=COMMANDS)
def units() -> None:
    """Fit and measure speech units: k-means on a speech encoder's features, and BPE."""
