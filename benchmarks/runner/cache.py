"""Tokens and features of a data set, made once and kept.

A folder a pair of input and data set, named by a hash of what settles the values; in it a safetensors file a few
hundred clips. A file also knows size and time of the audio it was made from, and a checksum of its own: where one of
them is not so, or the file is damaged, it is made again. A run that was killed goes on at the first missing file.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codectok.errors import CodectokError
from codectok.files.atomic import atomic_path
from codectok.log import logger

from ..contract import Clip, Dataset, Example, NotComputed, Split
from ..datasets import read_clip, read_targets
from ..datasets.splits import audio_files
from ..inputs import Input
from .cells import all_clips

LOG = logger(__name__)

VERSION = 1
CHUNK = 256
"""Clips in a file: what a killed extraction loses at most, and what is in memory at a time."""


@dataclass(frozen=True)
class Extracted:
    """Examples by clip, why others have none, and the seconds that making them took."""

    examples: dict[Clip, Example]
    failures: dict[str, str]
    seconds: float

    def split(self, dataset: Dataset) -> Split:
        """The examples of a data set, in its order; clips without one are left out."""

        def pick(clips: Sequence[Clip]) -> tuple[Example, ...]:
            return tuple(self.examples[c] for c in clips if c in self.examples)

        return Split(pick(dataset.train), pick(dataset.valid), {k: pick(v) for k, v in dataset.tests.items()})


class Cache:
    """What one input makes of one data set.

    Args:
        root: folder of all caches.
        dataset: whose clips.
        opened: the input.
        targets: whether the targets of each clip are wanted too (generative tasks).
    """

    def __init__(self, root: Path, dataset: Dataset, opened: Input, targets: bool) -> None:
        info = opened.info
        settles = [VERSION, info.fingerprint, info.kind, info.codebook_sizes, info.dim, str(info.frame_rate)]
        if info.kind == "quantized":  # the codebooks behind the vectors, which their width does not show
            settles.append(info.bitrate_kbps)
        key = hashlib.sha256(json.dumps([*settles, dataset.sha256, targets]).encode()).hexdigest()
        name = "".join(c if c.isalnum() else "-" for c in f"{dataset.name}-{info.tokenizer or info.label}")
        self.folder = root / f"{name[:40]}-{key[:24]}"
        self.opened, self.targets = opened, targets
        clips = all_clips(dataset)
        self.chunks = [clips[i : i + CHUNK] for i in range(0, len(clips), CHUNK)]

    def missing(self) -> list[int]:
        """Numbers of the chunks that are not there, by name alone: a quick look."""
        return [i for i in range(len(self.chunks)) if not self._path(i).is_file()]

    def make(self, number: int) -> None:
        """Make one chunk, unless it is there and whole.

        Raises:
            NotComputed: the input gives nothing that a probe reads.
        """
        if self._read(number) is None:
            self._write(number)

    def load(self) -> Extracted:
        """Everything, made where it is missing.

        Raises:
            NotComputed: as :meth:`make`.
        """
        examples: dict[Clip, Example] = {}
        failures: dict[str, str] = {}
        seconds = 0.0
        for number, clips in enumerate(self.chunks):
            found = self._read(number)
            if found is None:
                self._write(number)
                found = self._read(number)
                if found is None:
                    raise CodectokError(
                        "the audio of this data set changes while it is read: run again when it is still"
                    )
            tensors, head = found
            values = [_cut(tensors[f"v{i}"], head["lengths"][i]) for i in range(head["parts"])]
            for at, (index, samples) in enumerate(head["clips"]):
                x, *y = (v[at] for v in values)
                examples[clips[index]] = Example(clips[index], x, tuple(y), samples)
            failures |= {clips[int(i)].id: reason for i, reason in head["failures"].items()}
            seconds += head["seconds"]
        return Extracted(examples, failures, seconds)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05d}.safetensors"

    def _read(self, number: int) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path(number), "pt") as file:
                head: dict[str, Any] = json.loads((file.metadata() or {})["head"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, ValueError):
            return None
        if head["stamp"] != _stamp(self.chunks[number]) or head["checksum"] != _checksum(tensors):
            return None
        return tensors, head

    def _write(self, number: int) -> None:
        from safetensors.torch import save_file

        if self._path(number).is_file():
            LOG.warning("%s is damaged or of other clips: it is made again", self._path(number))
        started = time.perf_counter()
        stamp = _stamp(self.chunks[number])
        made: list[tuple[int, int, list[Tensor]]] = []
        failures: dict[str, str] = {}
        for index, clip in enumerate(self.chunks[number]):
            try:
                made.append((index, *self._values(clip)))
            except NotComputed:
                raise
            except Exception as error:  # one clip that cannot be used costs one example
                failures[str(index)] = f"{type(error).__name__}: {error}".strip()
        parts = max((len(values) for _, _, values in made), default=0)
        tensors = {f"v{i}": _join([values[i] for _, _, values in made]) for i in range(parts)}
        head = {
            "clips": [[index, samples] for index, samples, _ in made],
            "parts": parts,
            "lengths": [
                [v[i].shape[1] if not v[i].is_floating_point() else len(v[i]) for *_, v in made] for i in range(parts)
            ],
            "failures": failures,
            "stamp": stamp,
            "checksum": _checksum(tensors),
            "seconds": time.perf_counter() - started,
        }
        with atomic_path(self._path(number)) as temporary:
            save_file(tensors, temporary, metadata={"head": json.dumps(head)})

    def _values(self, clip: Clip) -> tuple[int, list[Tensor]]:
        samples = read_clip(clip)
        values = self.opened.extract([samples])
        if self.targets and (clip.mix or clip.targets):
            values += [self.opened.extract([t])[0] for t in read_targets(clip)]
        elif self.targets:
            values.append(values[0])
        return len(samples), values


def _join(values: Sequence[Tensor]) -> Tensor:
    """Along time; codes in four bytes."""
    if values[0].is_floating_point():
        return torch.cat([v.float().cpu() for v in values]).contiguous()
    return torch.cat([v.int().cpu() for v in values], 1).contiguous()


def _cut(values: Tensor, lengths: Sequence[int]) -> list[Tensor]:
    if values.is_floating_point():
        return list(values.split(list(lengths)))
    return [part.long() for part in values.split(list(lengths), 1)]


def _checksum(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for key, value in sorted(tensors.items()):
        digest.update(f"{key} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _stamp(clips: Sequence[Clip]) -> str:
    """Sizes and times of the files that some clips are read from."""

    def lines() -> Iterator[str]:
        for path in dict.fromkeys(p for clip in clips for p in audio_files(clip)):
            try:
                found = os.stat(path)
                yield f"{found.st_size} {found.st_mtime_ns}"
            except OSError:
                yield "missing"

    return hashlib.sha256("\n".join(lines()).encode()).hexdigest()
