"""The Kaldi format: int32 matrices [T, K] in an archive, with an index by name, as ESPnet's and DASB's readers want it.

A shard has

- ``00000.ark`` and ``00000.scp`` (``103-1240-0000 shards/00000.ark:14``): a matrix an utterance. The path is relative
  to the store's folder, so that a store can be moved: read it from there, or put the folder before ``shards/``.
- ``00000.txt`` (``103-1240-0000 17 17 296 296 20``), where there is one codebook: the text form of integer vectors,
  which recipes call pseudo labels and ``copy-int-vector ark,t:`` reads.
- ``00000.durations.ark`` and ``.scp``, where runs were merged: int32 vectors [T], the lengths of the runs.
- ``00000.utt2num_frames`` (rows of the matrix) and ``00000.utt2num_samples``.
- ``00000.text``, ``00000.utt2spk`` and ``00000.utt2lang``, where the corpus has texts, speakers and languages.

Kaldi's own binary types have no integer matrix. The arrays are ``NPY`` entries, those that kaldiio writes with
``write_function="numpy"`` and reads without being told.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from codectok.errors import CodectokError, FormatError
from codectok.files.atomic import atomic_path
from codectok.store.flat import need_side_by_side
from codectok.store.formats.label_files import LabelFile, ShardLabels, write_labels
from codectok.store.formats.line_file import LineFile, spell_numbers, zip_named
from codectok.store.info import Row, StoreFormat, StoreInfo, sister
from codectok.store.npy import npy_bytes, read_npy

SCP, RUNS_SCP = LineFile(".scp", " "), LineFile(".durations.scp", " ")
LABELS = LineFile(".txt", " ")
BESIDE = {
    "text": LabelFile(".text", " "),
    "speaker": LabelFile(".utt2spk", " ", word=True),
    "language": LabelFile(".utt2lang", " ", word=True),
}
FRAMES, SAMPLES = LineFile(".utt2num_frames", " "), LineFile(".utt2num_samples", " ")


class KaldiFormat(StoreFormat):
    """The Kaldi format: int32 matrices [T, K] in an archive, with an index by name, as ESPnet and DASB read it."""

    name = "kaldi"
    suffixes: tuple[str, ...] = (
        ".scp", ".ark", ".txt", ".durations.scp", ".durations.ark", ".utt2num_frames", ".utt2num_samples",
    )  # fmt: skip
    labels: tuple[str, ...] | None = tuple(BESIDE)
    label_suffixes: tuple[str, ...] = tuple(file.suffix for file in BESIDE.values())

    def check(self, info: StoreInfo) -> None:
        """Refuse ``flatten``."""
        need_side_by_side(self.name, info)

    def write_shard(self, path: Path, rows: Sequence[Row], info: StoreInfo) -> None:
        """Write the files of one shard."""
        matrices = ((key, tokens.codes.t().numpy()) for key, tokens in rows)
        _write_ark(path, SCP, matrices)
        if info.options.dedup:
            runs = ((key, np.empty(0) if t.durations is None else t.durations.numpy()) for key, t in rows)
            _write_ark(path, RUNS_SCP, runs)
        if len(info.codebook_sizes) == 1:
            LABELS.write(path, ((key, spell_numbers(tokens.codes[0])) for key, tokens in rows))
        FRAMES.write(path, ((key, str(tokens.codes.shape[1])) for key, tokens in rows))
        SAMPLES.write(path, ((key, str(tokens.num_samples)) for key, tokens in rows))
        write_labels(path, rows, info, BESIDE)

    def read_shard(self, path: Path, info: StoreInfo) -> Iterator[Row]:
        """Yield the rows of one shard, archives read from start to end."""
        labels = ShardLabels(path, info, BESIDE)
        indexes = [SCP, *([RUNS_SCP] if info.options.dedup else [])]
        with ExitStack() as stack:
            archives = [stack.enter_context(open(_archive(path, scp), "rb")) for scp in indexes]
            for number, (key, samples, *places) in enumerate(zip_named([SAMPLES, *indexes], path), start=1):
                try:
                    matrix, *runs = map(_read_entry, archives, places)
                    codes = torch.from_numpy(matrix).t().reshape(len(info.codebook_sizes), -1)
                    tokens = info.tokens(codes, int(samples), torch.from_numpy(runs[0]) if runs else None)
                    yield Row(key, tokens, labels.of(number - 1, key))
                except CodectokError as e:
                    raise e.within(f"utterance {number} of {path}") from e
                except (ValueError, RuntimeError) as e:
                    raise FormatError(
                        f"utterance {number} of {path} is damaged ({e}): make the store again", path=path
                    ) from e


def _archive(shard: Path, scp: LineFile) -> Path:
    return sister(shard, scp.suffix.replace(".scp", ".ark"))


def _write_ark(shard: Path, scp: LineFile, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write an archive and its index; a place is the byte after the id and its space."""
    ark = _archive(shard, scp)
    places: list[tuple[str, str]] = []
    with atomic_path(ark) as partial, open(partial, "wb") as f:
        for key, array in arrays:
            f.write(f"{scp.ids.escape(key)} ".encode())
            places.append((key, f"{ark.parent.name}/{ark.name}:{f.tell()}"))
            data = npy_bytes(array)
            length = len(data).to_bytes((len(data).bit_length() + 7) // 8, "little")
            f.write(b"NPY" + bytes([len(length)]) + length + data)
    scp.write(shard, places)


def _read_entry(archive: BinaryIO, place: str) -> np.ndarray:
    archive.seek(int(place.rpartition(":")[2]))
    if archive.read(3) != b"NPY":
        raise ValueError("no array where the index says")
    length = int.from_bytes(archive.read(archive.read(1)[0]), "little")
    return read_npy(io.BytesIO(archive.read(length)))
