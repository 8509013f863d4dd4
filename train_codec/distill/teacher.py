"""A teacher's features of all training clips, computed once and kept on disk.

They are of the clips as recorded. A crop's gain and polarity may be changed: the codec then learns to ignore both. A
crop that is resampled in time is no longer where its targets are: leave such augmentation off.

A cache is a folder ``KEY/``: ``features.npy`` float16 [frames, D] of all clips one after another, ``reduction.npz``
and, written last, ``index.json``. KEY is a hash of the encoder's fingerprint (its layer and windows included), the
dtype it ran in, D and the clips' samples. Until all is there, finished pieces wait in ``parts/``, and an interrupted
run goes on behind them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.files.atomic import atomic_path
from codectok.units import SpeechEncoder, load_encoder
from train_codec.data import ClipArray
from train_codec.distill.align import Grid, pooling
from train_codec.distill.features import clip_features, fit_reduction, pieces
from train_codec.distill.reduce import Reduction

FORMAT_VERSION = 1
Report = Callable[[str], None]


@dataclass(frozen=True)
class TeacherSpec:
    """Which encoder and how it is run; see :func:`codectok.units.load_encoder`."""

    encoder: str
    """Model folder or hub id."""
    dtype: str = "float32"
    tail_seconds: float | None = None
    device: str = "cpu"

    def load(self, layer: int) -> SpeechEncoder:
        """Open the encoder."""
        return load_encoder(self.encoder, layer, self.device, dtype=self.dtype, tail_seconds=self.tail_seconds)


class TeacherCache:
    """Targets for any crop of the clips it was made of.

    Args:
        features: float16 [frames, D], memory-mapped.
        starts: int64 [clips + 1], where each clip's frames begin.
        lengths: int64 [clips], samples of each.
        grid: of a clip's frames.
        facts: what the index says of the encoder and the reduction.
        reduction: that the features went through; None for none.
    """

    def __init__(
        self,
        features: np.ndarray,
        starts: np.ndarray,
        lengths: np.ndarray,
        grid: Grid,
        facts: dict[str, object],
        reduction: Reduction | None,
    ) -> None:
        self.features, self.starts, self.lengths = features, starts, lengths
        self.grid, self.facts, self.reduction = grid, facts, reduction
        self.dim = int(features.shape[1])

    @classmethod
    def open_or_make(
        cls,
        clips: ClipArray,
        spec: TeacherSpec | str,
        cache_dir: Path,
        layer: int,
        dim: int | None = None,
        *,
        sample_rate: int | None = None,
        basis_of: TeacherCache | None = None,
        report: Report | None = None,
    ) -> TeacherCache:
        """Open the cache of these clips, or compute it. One process at a time may compute.

        Args:
            clips: the training clips.
            spec: the encoder, or only its folder or hub id.
            cache_dir: holds any number of caches.
            layer: of the encoder.
            dim: keep that many principal components (fitted on a sample of the clips); None keeps all dimensions.
            sample_rate: Hz of the clips, if they do not know it; another than the encoder's is resampled.
            basis_of: take the principal components of that cache, so that both have the same axes.
            report: called with a line of progress after every piece; None prints to stderr.

        Raises:
            FormatError: no such encoder or layer, ``dim`` out of range, or a damaged cache.
        """
        sample_rate = sample_rate or clips.sample_rate or 16000
        spec = TeacherSpec(spec) if isinstance(spec, str) else spec
        encoder = spec.load(layer)
        reduction = basis_of.reduction if basis_of is not None else None
        if reduction is not None and reduction.basis.shape != (encoder.dim, dim):
            raise FormatError(f"the given basis is {reduction.basis.shape}, not {(encoder.dim, dim)}: use the same dim")
        grid = Grid.of(encoder.hop, encoder.offset, encoder.sample_rate, sample_rate)
        facts: dict[str, object] = {
            "format_version": FORMAT_VERSION,
            "encoder": encoder.fingerprint,
            "layer": encoder.layer,
            "dtype": spec.dtype,
            "tail_seconds": spec.tail_seconds,
            "encoder_dim": encoder.dim,
            "dim": dim or encoder.dim,
            "principal_components": dim is not None,
            "sample_rate": sample_rate,
            "hop": str(grid.hop),
            "offset": str(grid.offset),
            "basis": None if reduction is None else hashlib.sha256(reduction.basis.tobytes()).hexdigest()[:16],
            "clips": _clips_digest(clips),
        }
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        folder = Path(cache_dir) / key
        if not (folder / "index.json").is_file():
            _make(folder, clips, encoder, dim, reduction, facts, report or _to_stderr)
        return cls._open(folder, clips, grid)

    @classmethod
    def _open(cls, folder: Path, clips: ClipArray, grid: Grid) -> TeacherCache:
        try:
            index = json.loads((folder / "index.json").read_text())
            features = np.load(folder / "features.npy", mmap_mode="r")
        except (OSError, ValueError) as error:
            raise FormatError(f"{folder} is damaged ({error}): delete it, and it is made again", path=folder) from None
        starts = np.concatenate([[0], np.cumsum(index["frames"])]).astype(np.int64)
        if features.shape != (starts[-1], index["dim"]):
            raise FormatError(
                f"{folder} is damaged: features and index do not fit; delete it, and it is made again", path=folder
            )
        reduction = Reduction.load(folder / "reduction.npz") if index["principal_components"] else None
        lengths = np.array([c.length for c in clips.clips], dtype=np.int64)
        return cls(features, starts, lengths, grid, index, reduction)

    def clip(self, index: int) -> np.ndarray:
        """All features of one clip on the teacher's own grid, float32 [t, D]."""
        return np.asarray(self.features[self.starts[index] : self.starts[index + 1]], dtype=np.float32)

    def targets(
        self, clip_index: Tensor, start_sample: Tensor, num_frames: int, frame_size: int
    ) -> tuple[Tensor, Tensor]:
        """Pooled features of one crop of each of some clips (:mod:`train_codec.distill.align`).

        Args:
            clip_index: int [B].
            start_sample: int [B], where each crop starts in its clip; on multiples of the codec's frame, the frames
                are those that the codec gives for the whole clip.
            num_frames: codec frames T of every crop.
            frame_size: samples of a codec frame.

        Returns:
            targets: float32 [B, T, D], 0 where masked.
            mask: bool [B, T], True where the codec frame lies in the clip as a whole.
        """
        batch = len(clip_index)
        targets = np.zeros((batch, num_frames, self.dim), dtype=np.float32)
        mask = np.zeros((batch, num_frames), dtype=bool)
        for b, (i, s) in enumerate(zip(clip_index.tolist(), start_sample.tolist(), strict=True)):
            begin, end = int(self.starts[i]), int(self.starts[i + 1])
            first, weights = pooling(self.grid, s, num_frames, frame_size, end - begin)
            frames = np.asarray(self.features[begin + first : begin + first + weights.shape[1]], dtype=np.float32)
            mask[b] = (s + (np.arange(num_frames) + 1) * frame_size <= self.lengths[i]) & (weights.sum(1) > 0)
            targets[b] = np.where(mask[b][:, None], weights.astype(np.float32) @ frames, 0.0)
        return torch.from_numpy(targets), torch.from_numpy(mask)


def _make(
    folder: Path,
    clips: ClipArray,
    encoder: SpeechEncoder,
    dim: int | None,
    reduction: Reduction | None,
    facts: dict[str, object],
    report: Report,
) -> None:
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    rate = int(str(facts["sample_rate"]))
    if dim is not None and not (folder / "reduction.npz").is_file():
        (reduction or fit_reduction(clips, encoder, dim, rate)).save(folder / "reduction.npz")
    reduction = None if dim is None else Reduction.load(folder / "reduction.npz")

    began, done, total = time.monotonic(), 0, sum(c.length for c in clips.clips)
    cut = pieces([c.length for c in clips.clips], 120 * rate)
    for number, piece in enumerate(cut):
        path = parts / f"{number:05d}.npy"
        if path.is_file():
            total -= sum(clips.clips[i].length for i in piece)
            continue
        found = [clip_features(clips, i, encoder, rate) for i in piece]
        joined = np.concatenate([f if reduction is None else reduction(f) for f in found]).astype(np.float16)
        if not np.isfinite(joined).all():
            raise FormatError("a feature does not fit float16: choose another layer, or a dim for principal components")
        with atomic_path(path) as temporary:
            np.save(temporary, joined)
        done += sum(clips.clips[i].length for i in piece)
        speed = done / max(time.monotonic() - began, 1e-9)
        report(f"teacher {number + 1}/{len(cut)}, {speed / rate:.0f} x real time, {(total - done) / speed:.0f} s left")

    with atomic_path(folder / "features.npy") as temporary:
        np.save(temporary, np.concatenate([np.load(parts / f"{n:05d}.npy") for n in range(len(cut))]))
    frames = [encoder.num_frames(-(-c.length * encoder.sample_rate // rate)) for c in clips.clips]
    facts = {**facts, "explained": None if reduction is None else round(reduction.explained, 4), "frames": frames}
    with atomic_path(folder / "index.json") as temporary:
        temporary.write_text(json.dumps(facts))
    shutil.rmtree(parts)


def _clips_digest(clips: ClipArray) -> str:
    """Of the samples and where they are cut, the same whether or not the array knows its fingerprint."""
    whole = clips.fingerprint
    if not whole:
        digest = hashlib.sha256()
        for begin in range(0, len(clips.samples), 1 << 24):
            digest.update(np.ascontiguousarray(clips.samples[begin : begin + (1 << 24)]).data)
        whole = digest.hexdigest()
    cuts = json.dumps([whole, [[c.start, c.length] for c in clips.clips]])
    return hashlib.sha256(cuts.encode()).hexdigest()[:32]


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
