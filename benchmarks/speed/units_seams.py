"""Share of units that change where long audio is run in overlapping windows, on a real Whisper.

Whisper takes 30 s, so audio of 30 s can be run whole and in shorter windows alike. Units are k-means units of the rest
of the audio. Frames next to a seam are kept from the window that has more context for them, half an overlap at least.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from codectok.errors import CodectokError

RATE, CODES, WHOLE = 16000, 100, 30
WINDOWS = ((20.0, 10.0), (20.0, 5.0), (10.0, 5.0), (10.0, 1.0))
"""Seconds of a window and of the overlap."""


def seam_rows(encoder: str, files: Sequence[str]) -> list[dict[str, Any]]:
    """One row a pair of window and overlap: the first third in pieces of 30 s, with k-means of the rest.

    Raises:
        CodectokError: less than 90 s of audio.
    """
    from sklearn.cluster import MiniBatchKMeans

    from codectok.audio import read_audio, resample
    from codectok.units import load_encoder
    from codectok.units.kmeans.unit_stream import UnitStream

    audio = np.concatenate([resample(*read_audio(file), RATE) for file in files])
    pieces = list(audio[: len(audio) // (WHOLE * RATE) * WHOLE * RATE].reshape(-1, WHOLE * RATE))
    if len(pieces) < 3:
        raise CodectokError(f"--seams has {len(audio) / RATE:.0f} s of audio: give {3 * WHOLE} s or more")
    tests = pieces[: len(pieces) // 3]
    full = load_encoder(encoder, -3)
    fitted = MiniBatchKMeans(CODES, random_state=0, n_init=1, batch_size=1024).fit(
        torch.cat(full.features_batch(pieces[len(tests) :])).numpy()
    )
    stream = UnitStream(0, [torch.from_numpy(fitted.cluster_centers_)], None, None)
    reference = [stream.encode(full.features(x)) for x in tests]
    rows = []
    for window, overlap in WINDOWS:
        cut = load_encoder(encoder, full.layer, window_seconds=window, overlap_seconds=overlap)
        found = [stream.encode(cut.features(x)) for x in tests]
        share = float(torch.cat([a != b for a, b in zip(reference, found, strict=True)], 1).float().mean())
        row = {"layer": full.layer, "pieces of 30 s": len(tests), "window s": window, "overlap s": overlap}
        rows.append(row | {"units changed": f"{100 * share:.2f} %"})
    return rows
