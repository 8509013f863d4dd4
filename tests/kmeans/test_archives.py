"""Small archives of centroids that ask for much: refused before memory is taken."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from codectok.errors import FormatError
from kmeans_units.imports import read_centroids

pytest.importorskip("joblib")
LIMIT = 2**20
"""Bytes that may be read, in these tests."""


@pytest.fixture(autouse=True)
def _limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODECTOK_MAX_ARRAY", str(LIMIT))


def refused(file: Path) -> str:
    """What is said, where no more memory was taken than the limit allows."""
    tracemalloc.start()
    try:
        with pytest.raises(FormatError) as caught:
            read_centroids(file, trust_pickle=True)
        assert tracemalloc.get_traced_memory()[1] < 2 * LIMIT
    finally:
        tracemalloc.stop()
    return str(caught.value)


def deflated(file: Path, large: Path) -> Path:
    """The same archive with its members compressed, as numpy's savez_compressed makes them and torch reads them."""
    with zipfile.ZipFile(large) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(member.filename, old.read(member))
    return file


@pytest.mark.parametrize("suffix", [".npz", ".pt"])
def test_a_compressed_archive_that_stands_for_more_than_the_limit(tmp_path: Path, suffix: str) -> None:
    large = tmp_path / f"large{suffix}"
    if suffix == ".npz":
        np.savez(large, centroids=np.zeros((LIMIT // 4, 16), np.float32))
    else:
        torch.save({"centroids": torch.zeros(LIMIT // 4, 16)}, large)
    small = deflated(tmp_path / f"small{suffix}", large)
    assert small.stat().st_size < LIMIT // 8
    assert "CODECTOK_MAX_ARRAY=N" in refused(small)


def with_shape(shape: str) -> bytes:
    """An array of four numbers whose header says another shape."""
    head = "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }"
    return b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + head.ljust(117).encode() + b"\n" + bytes(16)


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(100000, 1000000)", "(4611686018427387904, 4)"])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_header_that_promises_more_than_its_file(tmp_path: Path, suffix: str, shape: str) -> None:
    file = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        file.write_bytes(with_shape(shape))
    else:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("centroids.npy", with_shape(shape))
    assert "larger than the file" in refused(file)


def test_a_large_array_that_is_all_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.npy"
    np.save(file, np.ones((LIMIT // 4, 2), np.float32))
    assert "CODECTOK_MAX_ARRAY=N" in refused(file)
    monkeypatch.setenv("CODECTOK_MAX_ARRAY", str(4 * LIMIT))
    assert read_centroids(file).shape == (LIMIT // 4, 2)


@pytest.mark.parametrize("cut", [1, 40, 130, 200])
def test_a_cut_archive_is_one_line(tmp_path: Path, cut: int) -> None:
    whole = tmp_path / "whole.npz"
    np.savez_compressed(whole, centroids=np.eye(4, dtype=np.float32))
    file = tmp_path / "cut.npz"
    file.write_bytes(whole.read_bytes()[:-cut])
    with pytest.raises(FormatError) as caught:
        read_centroids(file)
    assert "\n" not in str(caught.value)
