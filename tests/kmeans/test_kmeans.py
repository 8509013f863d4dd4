from __future__ import annotations

import numpy as np
import pytest
import torch

from codectok.errors import CodectokError
from kmeans_units.kmeans import KMeansOptions, assign, fit_kmeans, lloyd, rounds
from kmeans_units.start import best_start
from kmeans_units.streams import fit_stream

faiss = pytest.importorskip("faiss")
cluster = pytest.importorskip("sklearn.cluster")


def mixture(n: int, dim: int = 16, parts: int = 60, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((parts, dim)) * np.arange(1, dim + 1) ** -0.3 * 2
    return (centres[rng.integers(parts, size=n)] + rng.standard_normal((n, dim))).astype(np.float32)


def inertia(frames: np.ndarray, centroids: np.ndarray) -> float:
    """The slow, obvious way."""
    return float(np.mean([np.square(f.astype(np.float64) - centroids).sum(1).min() for f in frames]))


def test_assign_is_the_nearest_centroid() -> None:
    frames, centroids = mixture(500) + 30, mixture(20, seed=1) + 30
    units, distances = assign(frames, centroids)
    squares = np.square(frames[:, None].astype(np.float64) - centroids).sum(2)
    assert np.array_equal(units, squares.argmin(1))
    assert distances == pytest.approx(squares.min(1), rel=1e-3)


@pytest.mark.parametrize("backend", ["faiss", "sklearn"])
def test_seed_decides_the_bytes(backend: str) -> None:
    frames, options = mixture(3000), KMeansOptions(backend, n_init=2)
    a, b, c = (fit_kmeans(frames, 40, seed=s, options=options) for s in (5, 5, 6))
    assert a.centroids.tobytes() == b.centroids.tobytes()
    assert a.centroids.tobytes() != c.centroids.tobytes()
    assert a.inertia == b.inertia


def test_seed_decides_whatever_numpy_and_torch_drew_before() -> None:
    frames = mixture(2000)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    a = fit_kmeans(frames, 30).centroids
    np.random.rand(5)  # noqa: NPY002
    assert a.tobytes() == fit_kmeans(frames, 30).centroids.tobytes()


def test_frames_are_not_changed_and_inertia_is_that_of_the_centroids() -> None:
    frames = mixture(2000)
    copy = frames.copy()
    fit = fit_kmeans(frames, 30)
    assert np.array_equal(copy, frames)
    assert fit.centroids.dtype == np.float32
    assert fit.centroids.shape == (30, 16)
    assert fit.inertia == pytest.approx(inertia(frames, fit.centroids), rel=1e-4)
    assert (fit.points, fit.dead, fit.counts.sum()) == (2000, 0, 2000)


def test_sklearn_backend_is_scikit_learns_own_with_fairseqs_settings() -> None:
    frames = mixture(4000)
    own = cluster.MiniBatchKMeans(
        50, init="k-means++", max_iter=100, batch_size=10000, tol=0.0, max_no_improvement=100, n_init=20,
        reassignment_ratio=0.0, random_state=3,
    ).fit(frames)  # fmt: skip
    ours = fit_kmeans(frames, 50, seed=3, options=KMeansOptions("sklearn"))
    assert ours.inertia == pytest.approx(own.inertia_ / len(frames), rel=0.01)


def test_faiss_is_no_worse_than_scikit_learn_on_held_out_frames() -> None:
    frames, held = mixture(6000), mixture(3000, seed=7)
    theirs = inertia(held, fit_kmeans(frames, 50, options=KMeansOptions("sklearn")).centroids)
    ours = [inertia(held, fit_kmeans(frames, 50, seed=s).centroids) for s in range(5)]
    assert np.median(ours) <= 1.01 * theirs


def test_all_frames_are_used_unless_the_recipe_says_otherwise() -> None:
    frames = mixture(40 * 300)  # 300 a centroid: faiss itself would take 256 and say nothing
    assert fit_kmeans(frames, 40).points == len(frames)
    assert fit_kmeans(frames, 40, options=KMeansOptions(max_points_per_centroid=100)).points == 4000


def test_warm_up_on_a_draw_still_fits_all_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmeans_units.kmeans.WARM_UP_FRAMES", 2560)
    frames, seen = mixture(9000), []
    fit = fit_kmeans(frames, 40, progress=lambda: seen.append(1))
    assert len(seen) == rounds(KMeansOptions())
    assert fit.inertia <= 1.01 * fit_kmeans(frames, 40, options=KMeansOptions(iterations=40)).inertia


def test_empty_clusters_go_to_the_frames_farthest_from_any(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.concatenate([mixture(500), np.full((3, 16), 90, np.float32)])
    start = frames[:10].copy()
    start[4] = 1e6
    monkeypatch.setattr("kmeans_units.kmeans.best_start", lambda *_, **__: (start, []))
    fit = fit_kmeans(frames, 10, options=KMeansOptions(iterations=0))
    assert fit.dead == 0
    assert fit.centroids[4] == pytest.approx(90)


def test_heaps_far_apart_leave_no_cluster_empty() -> None:
    rng = np.random.default_rng(0)
    # Two heaps, and a few frames far out that random starts miss.
    heaps = np.concatenate([rng.normal(0, 1, (4000, 4)), rng.normal(50, 1, (4000, 4)), rng.normal(999, 1, (9, 4))])
    fit = fit_kmeans(heaps.astype(np.float32), 30, options=KMeansOptions(n_init=1, iterations=3))
    assert fit.dead == 0
    assert (fit.counts > 0).all()


def test_fewer_distinct_frames_than_clusters_are_reported_dead() -> None:
    frames = np.repeat(np.eye(5, dtype=np.float32), 20, axis=0)
    fit = fit_kmeans(frames, 8)
    assert fit.inertia == pytest.approx(0, abs=1e-4)
    assert fit.dead >= 1 or len(np.unique(fit.centroids, axis=0)) == 8
    assert np.isfinite(fit.centroids).all()


@pytest.mark.parametrize("k", [1, 7, 100])
def test_as_many_frames_as_clusters(k: int) -> None:
    frames = mixture(k)
    fit = fit_kmeans(frames, k)
    if k > 1:
        assert fit.inertia == pytest.approx(0, abs=1e-3)
    else:
        assert fit.centroids[0] == pytest.approx(frames.mean(0), abs=1e-5)


def test_bad_input() -> None:
    frames = mixture(20)
    with pytest.raises(CodectokError, match="at least 21 frames"):
        fit_kmeans(frames, 21)
    with pytest.raises(CodectokError, match="faiss or sklearn"):
        fit_kmeans(frames, 2, options=KMeansOptions("scipy"))
    with pytest.raises(CodectokError, match="float32"):
        fit_kmeans(frames.astype(np.float64), 2)
    frames[3, 3] = np.nan
    with pytest.raises(CodectokError, match="NaN"):
        fit_kmeans(frames, 2)


def test_start_draws_by_squared_distance() -> None:
    """Arthur and Vassilvitskii: after the first, a frame is drawn with probability D^2 / sum D^2."""
    frames = np.array([[0.0], [1.0], [3.0]], np.float32)
    seconds = np.zeros((3, 3))
    for seed in range(3000):
        start, _ = best_start(frames, 2, starts=1, trials=1, rng=np.random.default_rng(seed))
        first, second = (int(np.argmin(np.abs(frames[:, 0] - v))) for v in start[:, 0])
        seconds[first, second] += 1
    assert seconds[0] / seconds[0].sum() == pytest.approx([0, 0.1, 0.9], abs=0.04)
    assert seconds[1] / seconds[1].sum() == pytest.approx([0.2, 0, 0.8], abs=0.04)


def test_the_best_of_the_starts_is_kept() -> None:
    frames = mixture(2000) + 100
    start, inertias = best_start(frames, 20, starts=6, rng=np.random.default_rng(0))
    assert len(set(inertias)) == 6
    assert inertia(frames, start) == pytest.approx(min(inertias), rel=1e-3)
    assert all(np.abs(frames - c).max(1).min() < 1e-3 for c in start), "centroids are frames"


def test_several_starts_read_a_draw_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmeans_units.start.INIT_FRAMES", 64)
    rows: list[int] = []

    class Watched(np.ndarray):
        def __getitem__(self, key):
            if isinstance(key, np.ndarray):
                rows.append(len(key))
            return np.asarray(self)[key]

    best_start(mixture(1000).view(Watched), 10, starts=2, rng=np.random.default_rng(0))
    assert rows == [64]


@pytest.mark.parametrize("standardize", [False, True])
def test_levels_are_fitted_on_what_is_left(standardize: bool) -> None:
    scales = np.linspace(0.1, 30, 16, dtype=np.float32)
    frames, valid = mixture(3000) * scales + 5, mixture(1000, seed=4) * scales + 5
    sizes = [20, 15, 10]
    stream, figures = fit_stream(
        0, frames.copy(), valid.copy(), sizes, standardize=standardize, seed=0, options=KMeansOptions()
    )
    assert stream.sizes == (20, 15, 10)
    assert (stream.mean is not None) == standardize
    # The stream's own arithmetic, on the frames as they are, gives the figures that fitting gave.
    x = torch.from_numpy(valid)
    codes = stream.encode(x)
    errors = []
    for n in (1, 2, 3):
        rest = x - stream.vectors(codes[:n])
        errors.append(float((rest / (stream.scale if standardize else 1)).square().sum(1).mean()))
    assert errors == pytest.approx([level["valid_inertia"] for level in figures["levels"]], rel=1e-3)
    assert errors[2] < errors[1] < errors[0] < figures["variance"]
    held = (valid - frames.mean(0)) / frames.std(0) if standardize else valid
    assert figures["variance"] == pytest.approx(held.var(0).sum(), rel=1e-3)


def test_a_feature_that_never_varies_is_standardised_to_a_number() -> None:
    frames = mixture(500)
    frames[:, 3] = 7
    stream, _ = fit_stream(
        0, frames.copy(), frames[:50].copy(), [10], standardize=True, seed=0, options=KMeansOptions()
    )
    assert stream.scale is not None
    assert (stream.scale > 0).all()
    assert stream.encode(torch.from_numpy(frames)).shape == (1, 500)


def test_no_held_out_frames() -> None:
    frames = mixture(500)
    _, figures = fit_stream(0, frames, frames[:0], [10], standardize=True, seed=0, options=KMeansOptions())
    assert (figures["variance"], figures["levels"][0]["valid_inertia"]) == (None, None)


def test_an_iteration_takes_every_frame() -> None:
    frames = mixture(30 * 400)  # faiss itself would draw 256 frames a centroid
    centroids = frames[:30].copy()
    units, _ = assign(frames, centroids)
    want = np.stack([frames[units == i].mean(0, dtype=np.float64) for i in range(30)])
    assert lloyd(frames, centroids) == pytest.approx(want, abs=1e-4)
