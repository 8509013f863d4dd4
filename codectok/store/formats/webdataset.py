"""The webdataset format: tar shards, the members of one utterance side by side under one key.

A shard is ``00000.tar``. An utterance is ``KEY.units.npy`` (int32 [K, T]), ``KEY.durations.npy`` (int32 [T], where runs
were merged) and ``KEY.json`` (``{"id": ..., "num_samples": ..., "num_frames": ...}``, and labels under their names;
``label_id`` and so on where a label has one of these three).

KEY is the id, except that what would split or hide a key is percent-escaped: a dot begins the extension there, so
``a.b`` becomes ``a%2Eb``. The id as it was stands in the .json.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from codectok.errors import CodectokError, FormatError
from codectok.files.atomic import atomic_path
from codectok.store.flat import need_side_by_side
from codectok.store.ids import ODD_PATHS, IdEscape
from codectok.store.info import Row, StoreFormat, StoreInfo
from codectok.store.npy import add_member, npy_bytes, read_npy, tar_members

KEYS = IdEscape(".\\\\", f"{ODD_PATHS}|^__")
"""Names that begin with ``__`` are metadata there, and skipped."""
_OWN = ("id", "num_samples", "num_frames")


class WebdatasetFormat(StoreFormat):
    """The webdataset format: tar shards, the members of one utterance side by side under one key."""

    name = "webdataset"
    suffixes: tuple[str, ...] = (".tar",)

    def check(self, info: StoreInfo) -> None:
        """Refuse ``flatten``."""
        need_side_by_side(self.name, info)

    def write_shard(self, path: Path, rows: Sequence[Row], info: StoreInfo) -> None:
        """Write one tar."""
        with atomic_path(path) as partial, tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
            columns = _columns(info)
            for row in rows:
                id, tokens = row
                key = KEYS.escape(id)
                add_member(tar, f"{key}.units.npy", npy_bytes(tokens.codes.numpy()))
                if tokens.durations is not None:
                    add_member(tar, f"{key}.durations.npy", npy_bytes(tokens.durations.numpy()))
                entry = {"id": id, "num_samples": tokens.num_samples, "num_frames": tokens.num_frames}
                entry |= {columns[name]: value for name, value in info.labels_of(row).items()}
                add_member(tar, f"{key}.json", json.dumps(entry, ensure_ascii=False).encode())

    def read_shard(self, path: Path, info: StoreInfo) -> Iterator[Row]:
        """Yield the rows of one tar."""
        arrays: dict[str, torch.Tensor] = {}
        columns = _columns(info)
        number = 1
        try:
            for name, data in tar_members(path):
                kind = name.rpartition("/")[2].partition(".")[2]
                if kind != "json":
                    arrays[kind] = torch.from_numpy(read_npy(io.BytesIO(data)))
                    continue
                entry = json.loads(data)
                tokens = info.tokens(arrays["units.npy"], entry["num_samples"], arrays.get("durations.npy"))
                labels = {name: entry.get(column) for name, column in columns.items()}
                yield Row(entry["id"], tokens, info.read_labels(labels))
                arrays.clear()
                number += 1
            if arrays:
                raise ValueError("no .json")
        except CodectokError as e:
            raise e.within(f"utterance {number} of {path}") from e
        except (ValueError, KeyError, TypeError) as e:
            raise FormatError(f"utterance {number} of {path} is damaged ({e}): make the store again", path=path) from e


def _columns(info: StoreInfo) -> dict[str, str]:
    """Key in the .json of each label."""
    return {} if info.labels is None else info.labels.columns(_OWN)
