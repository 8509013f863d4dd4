"""Stores of made-up codes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import torch

from codectok.store import ItemError, Store, StoreInfo, StoreOptions, open_store
from codectok.store.formats.table import get_format
from codectok.store.info import Row, shard_path
from codectok.store.names import SINGLE_STREAM
from codectok.store.writer import StoreWriter

BAD = ItemError("bad/ä", "bad/ä.wav", "AudioError", "cannot read it")


def make_info(format: str, sizes: tuple[int, ...], dedup: bool = False, rate: Fraction | int = 50) -> StoreInfo:
    """Of a store that the format can hold: flattened where it has to be."""
    options = StoreOptions(dedup, format in SINGLE_STREAM and len(sizes) > 1, 3)
    return StoreInfo(format, "tiny", "f" * 32, 16000, Fraction(rate), sizes, options, "0" * 64)


def row_of(info: StoreInfo, id: str, codes: list[list[int]], num_samples: int = 190800) -> Row:
    """One row, deduplicated where the store is."""
    tokens = info.tokens(torch.tensor(codes), num_samples, None)
    return id, tokens.dedup() if info.options.dedup else tokens


def make_rows(info: StoreInfo, lengths: list[int], ids: list[str] | None = None, seed: int = 0) -> list[Row]:
    """Rows of random codes with runs in them; no two have the same number of samples."""
    generator = torch.Generator().manual_seed(seed)
    rows: list[Row] = []
    for i, length in enumerate(lengths):
        codes = torch.stack([torch.randint(0, n, (length,), generator=generator) for n in info.codebook_sizes])
        codes = codes[:, torch.arange(length) // 2 * 2]
        tokens = info.tokens(codes, length * 320 + i, None)
        rows.append((ids[i] if ids else f"u{seed}/{i}", tokens.dedup() if info.options.dedup else tokens))
    return rows


def write_rows(folder: Path, info: StoreInfo, rows: list[Row]) -> Path:
    """One shard, without a store around it; gives the path that its reader wants."""
    form = get_format(info.format)
    form.check(info)
    path = shard_path(folder, 0, form.suffixes[0])
    form.write_shard(path, rows, info)
    return path


def make_store(folder: Path, info: StoreInfo, shards: list[list[Row]]) -> Store:
    """A whole store, with one failed item."""
    with StoreWriter(folder, info, len(shards)) as writer:
        for i, rows in enumerate(shards):
            writer.write_shard(i, rows, [BAD] if i == 0 else [], f"items {i}")
        writer.close({"wall_seconds": 1.0})
    return open_store(folder)
