"""Libri2Mix (Cosentino et al. 2020), clean, 16 kHz, "min": separation of two speakers.

``wav16k/min/{train-100,dev,test}/{mix_clean,s1,s2}/A_B.wav``, where A and B are the utterances mixed.
"""

from __future__ import annotations

from pathlib import Path

from ..contract import Clip, Dataset
from .entry import DatasetEntry
from .layout import inside, need

WHAT = "Libri2Mix (wav16k/min/{train-100,dev,test}/{mix_clean,s1,s2})"


def open_ss(name: str, root: Path) -> Dataset:
    """train-100, dev and test."""
    folder = need(inside(root, "Libri2Mix") / "wav16k" / "min", WHAT)
    return Dataset(
        name=name,
        task="ss",
        train=_clips(folder / "train-100"),
        valid=_clips(folder / "dev"),
        tests={"test": _clips(folder / "test")},
        rules=("speaker-disjoint",),
        root=str(root),
        licence="CC-BY-4.0",
    )


def _clips(folder: Path) -> tuple[Clip, ...]:
    return tuple(
        Clip(
            id=path.stem,
            path=str(path),
            speaker="+".join(part.partition("-")[0] for part in path.stem.split("_")),
            language="en",
            targets=tuple(str(need(folder / source / path.name, WHAT)) for source in ("s1", "s2")),
        )
        for path in sorted(need(folder / "mix_clean", WHAT).glob("*.wav"))
    )


SS = DatasetEntry("libri2mix-ss", "ss", open_ss, WHAT)
"""Two mixed readers to be parted."""
