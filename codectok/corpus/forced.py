"""CTC forced alignment: the likeliest path of a CTC model that says a given text, by Viterbi (Graves et al., 2006)."""

from __future__ import annotations

import importlib.util
import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from codectok.errors import FormatError


def forced_path(log_probs: Tensor, targets: list[int], blank: int) -> list[int]:
    """For each frame the place in ``targets`` of what is said there, or -1 for blank.

    By torchaudio where it can be imported, else by our own, which gives paths of the same score.

    Args:
        log_probs: float [T, V], of a CTC model.
        targets: token ids, [N].
        blank: id of the blank.

    Raises:
        FormatError: no targets, or more than the frames can hold.
    """
    repeats = sum(a == b for a, b in pairwise(targets))
    if not targets or len(log_probs) < len(targets) + repeats:
        raise FormatError(
            f"{len(targets)} letters do not fit into {len(log_probs)} frames: give the text that is said in the audio"
        )
    return _by_torchaudio(log_probs, targets, blank) if _torchaudio() else viterbi(log_probs, targets, blank)


def _torchaudio() -> bool:
    if importlib.util.find_spec("torchaudio") is None:
        return False
    try:
        from torchaudio.functional import forced_align  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


def _by_torchaudio(log_probs: Tensor, targets: list[int], blank: int) -> list[int]:
    from torchaudio.functional import forced_align

    labels, _ = forced_align(log_probs[None].float().cpu(), torch.tensor([targets], dtype=torch.int32), blank=blank)
    places, at, before = [], -1, blank
    for label in labels[0].tolist():
        at += label not in (blank, before)
        places.append(-1 if label == blank else at)
        before = label
    return places


def viterbi(log_probs: Tensor, targets: list[int], blank: int) -> list[int]:
    """As :func:`forced_path`, in numpy: frame by frame, all states at once."""
    states = np.full(2 * len(targets) + 1, blank)
    states[1::2] = targets
    # From two states before: where a blank is between two different letters, it may be passed over.
    skips = np.zeros(len(states), bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    scores = log_probs.double().cpu().numpy()[:, states]
    best = np.full(len(states), -math.inf)
    best[:2] = scores[0, :2]
    back = np.zeros(scores.shape, np.int8)
    for t in range(1, len(scores)):
        one = np.concatenate([[-math.inf], best[:-1]])
        two = np.where(skips, np.concatenate([[-math.inf] * 2, best[:-2]]), -math.inf)
        ways = np.stack([best, one, two])
        back[t] = ways.argmax(0)
        best = ways.max(0) + scores[t]
    at = len(states) - 1 if best[-1] >= best[-2] else len(states) - 2
    path = []
    for t in range(len(scores) - 1, -1, -1):
        path.append((at - 1) // 2 if at % 2 else -1)
        at -= int(back[t, at])
    return path[::-1]
