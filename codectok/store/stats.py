"""What can be counted in a store's codes: use and entropy of each codebook, runs, rates."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from codectok.store.base import Row, StoreInfo


class UnitCounts:
    """Running counts over rows; all per-codebook figures are over frames, so merging runs doesn't change them."""

    def __init__(self, info: StoreInfo) -> None:
        self.info = info
        self.items = self.samples = self.frames = self.tokens = self.runs = 0
        self._starts = np.array(list(accumulate(info.codebook_sizes, initial=0)))
        self._counts = np.zeros(self._starts[-1], dtype=np.int64)

    def add(self, rows: Sequence[Row]) -> None:
        """Count some rows: a shard at a time, since each call walks all codebooks once."""
        for _, tokens in rows:
            self.items += 1
            self.samples += tokens.num_samples
            self.frames += tokens.num_frames
            self.tokens += tokens.codes.numel()
            first = tokens.codes[0].numpy()
            self.runs += int(np.count_nonzero(first[1:] != first[:-1])) + (len(first) > 0)
        if rows:
            codes = np.concatenate([tokens.expand().codes.numpy() for _, tokens in rows], axis=1)
            flat = (codes + self._starts[:-1, None]).reshape(-1)
            self._counts += np.bincount(flat, minlength=len(self._counts))

    def summary(self) -> dict[str, Any]:
        """The figures of ``stats.json``: s, h, frames, tokens/s of audio, kbit/s, bits, shares in 0..1."""
        sizes = self.info.codebook_sizes
        per_frame = [self._codebook(k) for k in range(len(sizes))]
        seconds = self.samples / self.info.sample_rate
        rate = float(self.info.frame_rate) / 1000
        return {
            "items": self.items,
            "seconds_audio": seconds,
            "hours_audio": seconds / 3600,
            "frames": self.frames,
            "tokens": self.tokens,
            "token_rate": self.tokens / seconds if seconds else 0.0,
            "bitrate_kbps": rate * float(np.log2(sizes).sum()),
            "entropy_bitrate_kbps": rate * sum(c["entropy_bits"] for c in per_frame),
            "dedup_ratio": self.runs / self.frames if self.frames else 1.0,
            "codebooks": per_frame,
        }

    def _codebook(self, k: int) -> dict[str, Any]:
        counts = self._counts[self._starts[k] : self._starts[k + 1]]
        used = counts[counts > 0]
        share = used / used.sum()
        entropy = abs(float(-(share * np.log2(share)).sum()))
        return {"size": self.info.codebook_sizes[k], "used_share": len(used) / len(counts), "entropy_bits": entropy}
