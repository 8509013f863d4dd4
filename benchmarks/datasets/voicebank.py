"""VoiceBank-DEMAND (Valentini-Botinhao et al. 2016): speech enhancement, 28 training speakers.

``{noisy,clean}_trainset_28spk_wav/pNNN_MMM.wav`` and ``{noisy,clean}_testset_wav``; each pair has one name.
"""

from __future__ import annotations

from pathlib import Path

from ..contract import Clip, Dataset
from .entry import DatasetEntry
from .layout import need

WHAT = "VoiceBank-DEMAND (noisy_trainset_28spk_wav, clean_trainset_28spk_wav, noisy_testset_wav, clean_testset_wav)"
VALID_SPEAKERS = ("p226", "p287")


def open_se(name: str, root: Path) -> Dataset:
    """The published train and test sets; two training speakers, the field's usual ones, are held out as valid."""
    train = _clips(root, "trainset_28spk")
    return Dataset(
        name=name,
        task="se",
        train=tuple(clip for clip in train if clip.speaker not in VALID_SPEAKERS),
        valid=tuple(clip for clip in train if clip.speaker in VALID_SPEAKERS),
        tests={"test": _clips(root, "testset")},
        rules=("speaker-disjoint",),
        root=str(root),
        licence="CC-BY-4.0",
    )


def _clips(root: Path, split: str) -> tuple[Clip, ...]:
    noisy, clean = (need(root / f"{kind}_{split}_wav", WHAT) for kind in ("noisy", "clean"))
    return tuple(
        Clip(
            id=path.stem,
            path=str(path),
            speaker=path.stem.partition("_")[0],
            language="en",
            targets=(str(need(clean / path.name, WHAT)),),
        )
        for path in sorted(noisy.glob("*.wav"))
    )


SE = DatasetEntry("voicebank-se", "se", open_se, WHAT)
"""Noise to be taken from read English."""
