"""Two models' codes of the same frames against the same labels: what each knows, and the paired difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from codectok.errors import FormatError
from codectok.metrics.bootstrap import Interval
from codectok.metrics.units import (
    bootstrap_clips,
    chance_pnmi,
    cluster_purity,
    contingency,
    entropy,
    held_out_information,
    phone_purity,
    pnmi,
)


@dataclass(frozen=True)
class Frames:
    """Frames of several clips, one after another."""

    codes: dict[str, np.ndarray]
    """Of each model, int64 [N]."""
    labels: np.ndarray
    """int64 [N]."""
    clips: np.ndarray
    """Number of each frame's clip, int64 [N], from 0 without gaps."""
    speakers: np.ndarray
    """Name of each frame's speaker, [N]."""


def fold_of(groups: np.ndarray, folds: int) -> np.ndarray:
    """Fold of each frame, int64 [N]: all of a group in one, the folds about equally large."""
    from sklearn.model_selection import GroupKFold

    found = np.empty(len(groups), dtype=np.int64)
    for number, (_, test) in enumerate(GroupKFold(folds).split(groups, groups=groups)):
        found[test] = number
    return found


def probe(codes: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Which frames a linear probe labels rightly, bool [N]: logistic regression on the one-hot code of the frame.

    Every frame is labelled by a probe that was trained on the other folds.
    """
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    count = len(codes)
    x = csr_matrix((np.ones(count), (np.arange(count), codes)), shape=(count, int(codes.max()) + 1))
    right = np.zeros(count, dtype=bool)
    for fold in np.unique(folds):
        test = folds == fold
        if len(np.unique(labels[~test])) < 2:
            raise FormatError("a probe needs two labels in every part of the data: give more clips")
        model = LogisticRegression(max_iter=100, tol=1e-3).fit(x[~test], labels[~test])
        right[test] = model.predict(x[test]) == labels[test]
    return right


def compare(frames: Frames, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Scores of each model and the differences of the first from the second, with paired intervals over clips.

    Plain PNMI favours the model that uses more codes. ``held_out_pnmi`` (the mean of
    :func:`codectok.metrics.units.held_out_information` by the labels' entropy) and ``probe_accuracy`` are of frames
    that their estimates were not made from: go by these.

    Raises:
        FormatError: fewer than two clips.
    """
    speakers = np.unique(frames.speakers)
    groups, over = (frames.speakers, "speakers") if len(speakers) > 1 else (frames.clips, "clips of one speaker")
    folds = min(5, len(np.unique(groups)))
    if folds < 2:
        raise FormatError("a probe needs two clips at least")
    fold = fold_of(groups, folds)
    labels, clips, num_clips = frames.labels, frames.clips, int(frames.clips.max()) + 1
    result: dict[str, Any] = {
        "clips": num_clips,
        "frames": len(labels),
        "speakers": len(speakers),
        "labels": len(np.unique(labels)),
        "probe": f"{folds} folds over {over}",
        "commonest_label": float(np.bincount(labels).max() / len(labels)),
        "models": {},
    }
    right, told = {}, {}
    for name, codes in frames.codes.items():
        table = contingency(codes, labels)
        right[name] = probe(codes, labels, fold)
        told[name] = held_out_information(codes, labels, fold) / entropy(table.sum(0))
        result["models"][name] = {
            "pnmi": pnmi(table),
            "chance_pnmi": chance_pnmi(codes, labels, seed),
            "held_out_pnmi": float(told[name].mean()),
            "phone_purity": phone_purity(table),
            "cluster_purity": cluster_purity(table),
            "probe_accuracy": float(right[name].mean()),
            "codes_used": int((table.sum(1) > 0).sum()),
        }
    first, second = frames.codes

    def pnmi_of(name: str, weights: np.ndarray) -> float:
        return pnmi(contingency(frames.codes[name], labels, weights[clips]))

    def mean_of(values: dict[str, np.ndarray]) -> Callable[[np.ndarray], float]:
        gain = values[first].astype(np.float64) - values[second]
        return lambda weights: float(weights[clips] @ gain / weights[clips].sum())

    differences: dict[str, Callable[[np.ndarray], float]] = {
        "held_out_pnmi": mean_of(told),
        "probe_accuracy": mean_of(right),
        "pnmi": lambda w: pnmi_of(first, w) - pnmi_of(second, w),
    }
    result["difference"] = {
        name: _row(bootstrap_clips(statistic, num_clips, resamples=resamples, seed=seed))
        for name, statistic in differences.items()
    }
    return result


def _row(interval: Interval) -> dict[str, Any]:
    return {**asdict(interval), "above_zero": interval.low is not None and interval.low > 0}
