"""`codectok units`: fit, merge and score speech units."""

from __future__ import annotations

import click

from codectok.cli.lazy import LazyGroup

COMMANDS = {
    "fit": ("kmeans_units.fit_cli:fit", "Fit a unit tokenizer: encoder, layer, k-means."),
    "bpe": ("kmeans_units.bpe_cli:bpe", "Train BPE over units."),
    "score": ("kmeans_units.score_cli:score", "Measure the quality of units."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def units() -> None:
    """Fit and measure speech units: k-means on a speech encoder's features, and BPE."""
