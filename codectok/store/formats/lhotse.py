"""The lhotse format (Zelasko et al., 2021): cuts with units as a custom array, in lhotse's own sharded form, Shar.

A shard is ``00000.cuts.jsonl.gz`` (a ``MonoCut`` an utterance) and ``00000.units.tar`` (its array and the array's
manifest). ``lhotse.CutSet.from_shar(fields={"cuts": [...], "units": [...]})`` opens them, and ``cut.load_units()`` is
int32 [T], or [T, K] where there are several codebooks. It is a ``TemporalArray``: truncating a cut truncates its units.

Where runs were merged, time and columns no longer go in step: units [T, K] and ``durations`` [T] (a third file,
``00000.durations.tar``) are plain arrays, whole however the cut is truncated.

A cut lasts as long as its audio or its frames, whichever is more, since lhotse rounds durations to frames and would
drop the last one. The exact ``num_samples`` is the custom field ``audio_samples``. An id that a path would not keep is
percent-escaped.

Labels are a supervision over the whole cut: text, speaker, language and gender, and all others as its custom fields.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from codectok.errors import CodectokError, FormatError
from codectok.files.atomic import atomic_path
from codectok.files.limits import bounded_lines
from codectok.items.labels import Label
from codectok.store.flat import need_side_by_side
from codectok.store.ids import ODD_PATHS, IdEscape
from codectok.store.info import Row, StoreFormat, StoreInfo, sister
from codectok.store.npy import add_member, npy_bytes, read_npy, tar_members
from codectok.tokens import Tokens

IDS = IdEscape(pattern=ODD_PATHS)
_SUPERVISED = ("text", "speaker", "language", "gender")


class LhotseFormat(StoreFormat):
    """The lhotse format (Zelasko et al., 2021): cuts with units as a custom array, in lhotse's sharded form, Shar."""

    name = "lhotse"
    suffixes: tuple[str, ...] = (".cuts.jsonl.gz", ".units.tar", ".durations.tar")

    def check(self, info: StoreInfo) -> None:
        """Refuse ``flatten``."""
        need_side_by_side(self.name, info)

    def write_shard(self, path: Path, rows: Sequence[Row], info: StoreInfo) -> None:
        """Write the cuts and the arrays."""
        fields = _fields(info)
        for field in fields:
            members = ((IDS.escape(id), _array(field, tokens), _manifest(field, tokens, info)) for id, tokens in rows)
            _write_arrays(sister(path, f".{field}.tar"), members)
        with atomic_path(path) as partial, _gzip(partial) as f:
            for row in rows:
                id, tokens = row
                # lhotse asks a cut that has no recording for a custom sampling_rate, when it is truncated.
                custom: dict[str, Any] = {"audio_samples": tokens.num_samples, "sampling_rate": info.sample_rate}
                custom |= {field: _manifest(field, tokens, info) for field in fields}
                duration = max(tokens.duration, float(tokens.num_frames / info.frame_rate))
                cut = {
                    "id": IDS.escape(id),
                    "start": 0,
                    "duration": duration,
                    "channel": 0,
                    "supervisions": _supervisions(IDS.escape(id), duration, info.labels_of(row)),
                    "custom": custom,
                    "type": "MonoCut",
                }
                f.write(json.dumps(cut, ensure_ascii=False).encode() + b"\n")

    def read_shard(self, path: Path, info: StoreInfo) -> Iterator[Row]:
        """Yield the rows of one shard."""
        streams = [_read_arrays(sister(path, f".{field}.tar")) for field in _fields(info)]
        number = 1
        try:
            for cut, *arrays in zip(_cuts(path), *streams, strict=True):
                if any(name != f"{cut['id']}.npy" for name, _ in arrays):
                    raise ValueError(f"the arrays are not those of {cut['id']!r}")
                units, *runs = (array for _, array in arrays)
                codes = torch.from_numpy(units.reshape(len(units), len(info.codebook_sizes))).t()
                tokens = info.tokens(codes, cut["custom"]["audio_samples"], torch.from_numpy(runs[0]) if runs else None)
                yield Row(IDS.restore(cut["id"]), tokens, info.read_labels(_labels(cut["supervisions"])))
                number += 1
        except CodectokError as e:
            raise e.within(f"cut {number} of {path}") from e
        except (ValueError, KeyError, TypeError) as e:
            raise FormatError(f"cut {number} of {path} is damaged ({e}): make the store again", path=path) from e


def _supervisions(id: str, duration: float, labels: dict[str, Label]) -> list[dict[str, Any]]:
    """The labels as one supervision over the whole cut; lhotse's own fields are text, what else is custom."""
    if not labels:
        return []
    own = {name: str(labels[name]) for name in _SUPERVISED if name in labels}
    custom = {name: value for name, value in labels.items() if own.get(name) != value}
    place = {"id": id, "recording_id": id, "start": 0, "duration": duration, "channel": 0}
    return [{**place, **own, **({"custom": custom} if custom else {})}]


def _labels(supervisions: list[dict[str, Any]]) -> dict[str, Any]:
    """The inverse of ``_supervisions``."""
    if not supervisions:
        return {}
    [one] = supervisions
    return {**{name: one.get(name) for name in _SUPERVISED}, **one.get("custom", {})}


def _fields(info: StoreInfo) -> tuple[str, ...]:
    return ("units", "durations") if info.options.dedup else ("units",)


def _array(field: str, tokens: Tokens) -> np.ndarray:
    if field == "durations":
        return np.empty(0, np.int64) if tokens.durations is None else tokens.durations.numpy()
    return tokens.codes[0].numpy() if tokens.num_codebooks == 1 else tokens.codes.t().numpy()


def _manifest(field: str, tokens: Tokens, info: StoreInfo) -> dict[str, Any]:
    """Of an array that lies in a tar."""
    place = {"storage_type": "shar", "storage_path": "", "storage_key": "", "shape": list(_array(field, tokens).shape)}
    if info.options.dedup:
        return place
    return {"array": place, "temporal_dim": 0, "frame_shift": float(1 / info.frame_rate), "start": 0}


def _write_arrays(path: Path, members: Iterable[tuple[str, np.ndarray, dict[str, Any]]]) -> None:
    with atomic_path(path) as partial, tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
        for key, array, manifest in members:
            add_member(tar, f"{key}.npy", npy_bytes(array))
            add_member(tar, f"{key}.json", json.dumps(manifest).encode() + b"\n")


def _read_arrays(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    for name, data in tar_members(path):
        if name.endswith(".npy"):
            yield name, read_npy(io.BytesIO(data))


@contextmanager
def _gzip(path: Path) -> Iterator[gzip.GzipFile]:
    """To write; no name and no time in the header, so the bytes depend on the content alone."""
    with open(path, "wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as f:
        yield f


def _cuts(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as f:
            yield from map(json.loads, bounded_lines(f, path))
    except (OSError, EOFError) as e:  # what gzip raises on damage
        raise ValueError(str(e)) from e
