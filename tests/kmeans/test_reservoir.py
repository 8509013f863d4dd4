from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmeans_units.reservoir import Reservoir


def rows_kept(reservoir: Reservoir) -> set[int]:
    first = reservoir.layers()[0]
    return set(first[:, 0].astype(int).tolist())


def offer(reservoir: Reservoir, keys: np.ndarray, cuts: list[int]) -> None:
    ids = np.arange(len(keys), dtype=np.float32)
    for part in np.split(np.arange(len(keys)), cuts):
        reservoir.add(keys[part], [np.stack([ids[part], -ids[part]], 1), ids[part, None] * 2])


@given(
    st.integers(1, 40), st.lists(st.integers(0, 400), max_size=8), st.integers(0, 400), st.sampled_from([1.0, 0.3, 2.0])
)
@settings(max_examples=150, deadline=None)
def test_keeps_the_smallest_keys_however_the_stream_is_cut(size: int, cuts: list[int], n: int, below: float) -> None:
    keys = np.random.default_rng(n).random(n)
    reservoir = Reservoir([2, 1], size, below)
    offer(reservoir, keys, sorted(min(c, n) for c in cuts))
    want = {i for i in np.argsort(keys)[:size].tolist() if keys[i] < below}
    assert rows_kept(reservoir) == want
    a, b = reservoir.layers()
    assert len(a) == len(b) == len(want)
    assert np.array_equal(a[:, 0], -a[:, 1])
    assert np.array_equal(a[:, 0] * 2, b[:, 0]), "layers keep the same rows"


def test_never_holds_more_than_its_bound() -> None:
    reservoir = Reservoir([4], 160)
    rng = np.random.default_rng(0)
    for _ in range(300):
        reservoir.add(rng.random(37), [np.zeros((37, 4), np.float32)])
        assert reservoir.rows <= 170
    assert reservoir.capacity == 170
    assert [held.shape for held in reservoir._layers] == [(170, 4)]


def test_every_frame_has_the_same_chance() -> None:
    counts = np.zeros(500)
    for seed in range(200):
        reservoir = Reservoir([2, 1], 50)
        offer(reservoir, np.random.default_rng(seed).random(500), [100, 101, 350])
        counts[list(rows_kept(reservoir))] += 1
    # 20 draws expected of each frame; the standard deviation is 4.2, that of the mean of 100 frames 0.42.
    for part in np.split(counts, 5):
        assert part.mean() == pytest.approx(20, abs=2)


def test_taken_up_again_gives_the_same_bytes(tmp_path: Path) -> None:
    keys = np.random.default_rng(1).random(900)
    whole, first = Reservoir([2, 1], 64), Reservoir([2, 1], 64)
    offer(whole, keys, [400])
    ids = np.arange(900, dtype=np.float32)

    def part(r: Reservoir, a: int, b: int) -> None:
        r.add(keys[a:b], [np.stack([ids[a:b], -ids[a:b]], 1), ids[a:b, None] * 2])

    part(first, 0, 400)
    np.savez(tmp_path / "r.npz", **first.arrays("x"))
    second = Reservoir([2, 1], 64)
    with zipfile.ZipFile(tmp_path / "r.npz") as archive:
        second.read(archive, "x")
    part(second, 400, 900)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(whole.layers(), second.layers(), strict=True))


def test_a_file_of_another_shape_is_refused(tmp_path: Path) -> None:
    small = Reservoir([2], 8)
    small.add(np.array([0.1, 0.2]), [np.zeros((2, 2), np.float32)])
    np.savez(tmp_path / "r.npz", **small.arrays("x"))
    with zipfile.ZipFile(tmp_path / "r.npz") as archive, pytest.raises(ValueError, match="x_0"):
        Reservoir([3], 8).read(archive, "x")
