"""What can be counted in a store's codes: use and entropy of each codebook, runs, rates, what BPE would leave."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, Protocol

import numpy as np

from codectok.errors import FormatError
from codectok.store.info import Row, StoreInfo
from codectok.tokens import Tokens

SUMS = ("items", "samples", "frames", "tokens", "runs", "columns", "bpe_tokens")

MOST_COUNTED = 2**24
"""Codes of all codebooks together: 128 MiB of counts. The largest single codebook that is published has 2^18."""


class Merger(Protocol):
    """What is asked of a BPE (:class:`codectok.transforms.unit_bpe.UnitBPE`)."""

    codebook_sizes: tuple[int, ...]

    @property
    def vocab_size(self) -> int:
        """Symbols and merges."""

    def encode_batch(self, many: Sequence[Tokens]) -> Sequence[Any]:
        """Merge the codes of each; ``len`` of a result is its number of tokens."""


class UnitCounts:
    """Running counts over rows; all per-codebook figures are over frames, so merging runs doesn't change them.

    A shard's are counted where it is made, a store's are their ``total``.

    Args:
        info: of the store.
        bpe: counted as well, where it is over the first codebooks of the store.
    """

    def __init__(self, info: StoreInfo, bpe: Merger | None = None) -> None:
        self.info = info
        self.items = self.samples = self.frames = self.tokens = self.runs = self.columns = 0
        if bpe is not None and bpe.codebook_sizes != info.codebook_sizes[: len(bpe.codebook_sizes)]:
            bpe = None
        self._bpe = bpe
        self.bpe_tokens = 0
        self.bpe_vocab = 0 if bpe is None else bpe.vocab_size
        """Size of the BPE's vocabulary; 0, there is none."""
        self._starts = np.array(list(accumulate(info.codebook_sizes, initial=0)))
        if self._starts[-1] > MOST_COUNTED:
            raise FormatError(
                f"codebooks of {self._starts[-1]} codes together are not counted: {MOST_COUNTED} is the most"
            )
        self._counts = np.zeros(self._starts[-1], dtype=np.int64)

    def add(self, rows: Sequence[Row]) -> None:
        """Count some rows: a shard at a time, since each call walks all codebooks once."""
        for _, tokens in rows:
            self.items += 1
            self.samples += tokens.num_samples
            self.frames += tokens.num_frames
            self.tokens += tokens.codes.numel()
            codes = tokens.codes.numpy()
            changed = codes[:, 1:] != codes[:, :-1]
            self.runs += int(np.count_nonzero(changed[0])) + (codes.shape[1] > 0)
            self.columns += int(np.count_nonzero(changed.any(axis=0))) + (codes.shape[1] > 0)
        if rows:
            codes = np.concatenate([tokens.codes.numpy() for _, tokens in rows], axis=1)
            flat = (codes + self._starts[:-1, None]).reshape(-1)
            self._counts += np.bincount(flat, _frames(rows, len(codes)), len(self._counts)).astype(np.int64)
        if rows and self._bpe is not None:
            first = [tokens.first(len(self._bpe.codebook_sizes)) for _, tokens in rows]
            self.bpe_tokens += sum(map(len, self._bpe.encode_batch(first)))

    def summary(self) -> dict[str, Any]:
        """The figures of ``stats.json``: s, h, frames, tokens/s of audio, kbit/s, bits, shares in 0..1."""
        sizes = self.info.codebook_sizes
        per_frame = [self._codebook(k) for k in range(len(sizes))]
        seconds = self.samples / self.info.sample_rate
        rate = float(self.info.frame_rate) / 1000
        bits = float(np.log2(sizes).sum())
        stats = {
            "items": self.items,
            "seconds_audio": seconds,
            "hours_audio": seconds / 3600,
            "frames": self.frames,
            "tokens": self.tokens,
            "token_rate": self.tokens / seconds if seconds else 0.0,
            "bits": self.frames * bits,
            "bitrate_kbps": rate * bits,
            "entropy_bitrate_kbps": rate * sum(c["entropy_bits"] for c in per_frame),
            "dedup_ratio": self.runs / self.frames if self.frames else 1.0,
            "dedup": {
                "columns": self.columns,
                "ratio": self.columns / self.frames if self.frames else 1.0,
                "bits": self.columns * bits,
            },
        }
        if self.bpe_vocab > 0:
            bpe_bits = self.bpe_tokens * math.log2(self.bpe_vocab)
            stats["bpe"] = {
                "vocab_size": self.bpe_vocab,
                "tokens": self.bpe_tokens,
                "ratio": self.bpe_tokens / self.frames if self.frames else 1.0,
                "bits": bpe_bits,
                "bitrate_kbps": bpe_bits / seconds / 1000 if seconds else 0.0,
            }
        return {**stats, "codebooks": per_frame}

    def to_json(self) -> dict[str, Any]:
        """All counts, to be read by ``from_json``."""
        counts = base64.b64encode(zlib.compress(self._counts.astype("<i8").tobytes())).decode()
        return {**{k: getattr(self, k) for k in SUMS}, "bpe_vocab": self.bpe_vocab, "counts": counts}

    @staticmethod
    def from_json(info: StoreInfo, entry: dict[str, Any]) -> UnitCounts:
        """The inverse of ``to_json``."""
        counts = UnitCounts(info)
        for key in (*SUMS, "bpe_vocab"):
            setattr(counts, key, int(entry[key]))
        found = np.frombuffer(zlib.decompress(base64.b64decode(entry["counts"])), dtype="<i8")
        counts._counts = found.reshape(counts._counts.shape).astype(np.int64)
        return counts

    @staticmethod
    def total(info: StoreInfo, many: Iterable[UnitCounts]) -> UnitCounts:
        """The sum; BPE only if all were counted by one of the same size."""
        whole, vocabs = UnitCounts(info), set()
        for counts in many:
            for key in SUMS:
                setattr(whole, key, getattr(whole, key) + getattr(counts, key))
            whole._counts += counts._counts
            vocabs.add(counts.bpe_vocab)
        whole.bpe_vocab = vocabs.pop() if len(vocabs) == 1 else 0
        return whole

    def _codebook(self, k: int) -> dict[str, Any]:
        counts = self._counts[self._starts[k] : self._starts[k + 1]]
        used = counts[counts > 0]
        share = used / used.sum()
        entropy = abs(float(-(share * np.log2(share)).sum()))
        return {
            "size": self.info.codebook_sizes[k],
            "used_share": len(used) / len(counts),
            "entropy_bits": entropy,
            "perplexity": 2**entropy,
        }


def _frames(rows: Sequence[Row], codebooks: int) -> np.ndarray[Any, Any] | None:
    """How many frames each stored code stands for, codebook after codebook, without writing its run out; None is 1."""
    if all(tokens.durations is None for _, tokens in rows):
        return None
    ones = (np.ones(t.codes.shape[1], np.int64) if t.durations is None else t.durations.numpy() for _, t in rows)
    return np.tile(np.concatenate(list(ones)), codebooks)
