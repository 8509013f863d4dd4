"""All features on disk in the layout of fairseq's ``simple_kmeans``: only on request, since 100 hours take 55 GB.

A shard i of n is ``features_i_n.npy``, float32 [frames, D] of its clips one after the other, and ``features_i_n.len``,
the frames of each clip, a line each. ``features.tsv`` is the manifest they follow: the root, then path and samples of
each clip. Several layers lie in folders ``layer6``, ``layer9``, ... beside one another, with the manifest above them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from codectok.errors import CodectokError
from codectok.files.atomic import atomic_path
from kmeans_units.clips import ReadClip

SHARD_CLIPS = 1000


class Dump:
    """Writer of such a folder; shards that are complete stay when a run is killed.

    Args:
        folder: written to.
        layers: numbers, for the names of folders.
        root: that paths in the manifest are relative to.
        shard_clips: least clips of a shard, but for the last.

    Raises:
        CodectokError: the folder holds a finished dump of something else.
    """

    def __init__(self, folder: Path, layers: Sequence[int], root: str, shard_clips: int = SHARD_CLIPS) -> None:
        self.folder = folder
        self.folders = [folder] if len(layers) == 1 else [folder / f"layer{n}" for n in layers]
        self.root = root
        self.shard_clips = shard_clips
        self.shards = 0
        """Complete ones."""
        self._files: list[IO[bytes]] = []
        self._lengths: list[int] = []
        self._lines: list[str] = []

    def finished(self, key: Mapping[str, Any]) -> bool:
        """Whether the folder holds the whole dump of what ``key`` stands for."""
        file = self.folder / "dump.json"
        if not file.is_file():
            return False
        if json.loads(file.read_text()) != json.loads(json.dumps(key)):
            raise CodectokError(f"{self.folder} holds features of another corpus or encoder: give another dump")
        return True

    def resume(self, shards: int) -> bool:
        """Go on behind so many shards, if they are there."""
        self.shards = shards
        return all(self._part(f, i, "npy").is_file() for f in self.folders for i in range(shards))

    def add(self, clip: ReadClip, layers: Sequence[np.ndarray]) -> None:
        """Write one clip's features, [T, D] of each layer."""
        if not clip.item.whole:
            raise CodectokError(
                f"{clip.item.id} is a segment of a file: a dump in fairseq's layout has whole files only"
            )
        if not self._files:
            for folder, features in zip(self.folders, layers, strict=True):
                folder.mkdir(parents=True, exist_ok=True)
                self._files.append(open(self._part(folder, self.shards, "tmp"), "wb"))  # noqa: SIM115
                _header(self._files[-1], 0, features.shape[1])
        for file, features in zip(self._files, layers, strict=True):
            file.write(np.ascontiguousarray(features, "<f4").data)
        self._lengths.append(len(layers[0]))
        self._dims = [features.shape[1] for features in layers]
        path = clip.item.path.removeprefix(self.root.rstrip("/") + "/")
        self._lines.append(f"{path}\t{0 if clip.samples is None else len(clip.samples)}\n")

    def boundary(self, last: bool = False) -> bool:
        """End the shard if it has clips enough, or is the last; whether one was ended."""
        if not self._files or (len(self._lengths) < self.shard_clips and not last):
            return False
        for file, folder, dim in zip(self._files, self.folders, self._dims, strict=True):
            file.seek(0)
            _header(file, sum(self._lengths), dim)
            file.close()
            with atomic_path(self._part(folder, self.shards, "len")) as temporary:
                temporary.write_text("".join(f"{n}\n" for n in self._lengths))
            Path(file.name).replace(self._part(folder, self.shards, "npy"))
        with atomic_path(self._part(self.folder, self.shards, "tsv")) as temporary:
            temporary.write_text("".join(self._lines))
        self.shards += 1
        self._files, self._lengths, self._lines = [], [], []
        return True

    def finish(self, key: Mapping[str, Any]) -> None:
        """Give all files their final names."""
        with atomic_path(self.folder / "features.tsv") as temporary, open(temporary, "w") as file:
            file.write(f"{self.root}\n")
            for i in range(self.shards):
                file.write(self._part(self.folder, i, "tsv").read_text())
        for folder in self.folders:
            for i in range(self.shards):
                for kind in ("npy", "len"):
                    part = self._part(folder, i, kind)
                    if part.is_file():
                        part.replace(folder / f"features_{i}_{self.shards}.{kind}")
        with atomic_path(self.folder / "dump.json") as temporary:
            temporary.write_text(json.dumps(key))
        for i in range(self.shards):
            self._part(self.folder, i, "tsv").unlink()

    def _part(self, folder: Path, shard: int, kind: str) -> Path:
        return folder / f"part-{shard}.{kind}"


def _header(file: IO[bytes], rows: int, dim: int) -> None:
    # numpy leaves room in the header for the number of rows to grow: both times it has the same size.
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (rows, dim)})
