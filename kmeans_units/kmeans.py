"""k-means over frames, by faiss or scikit-learn, decided by its seed.

Lloyd (1982) from k-means++ starts (Arthur and Vassilvitskii 2007), in Euclidean distance.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from codectok.errors import CodectokError
from kmeans_units.kmeans_state import KMeansState
from kmeans_units.start import best_start

BACKENDS = ("faiss", "sklearn")
BLOCK = 16384
"""Frames assigned at a time."""
WARM_UP, WARM_UP_FRAMES, WARM_UP_POINTS = 10, 65536, 32
"""Iterations on a draw of the frames before all are used; its frames, or frames a centroid if that is more."""
REFILLS = 3
"""Times that clusters left empty are moved to the frames farthest from any centroid."""


@dataclass(frozen=True)
class KMeansOptions:
    """How k-means runs.

    Attributes:
        backend: "faiss": Lloyd iterations over all frames; "sklearn": MiniBatchKMeans with the settings of fairseq's
            ``learn_kmeans.py`` (batches of 10,000, at most 100 passes, stops after 100 batches without improvement).
        n_init: k-means++ starts; the one with the lowest inertia on a subsample is kept. 0: 3 (faiss), 20 (sklearn).
        iterations: Lloyd iterations over all frames (faiss).
        max_points_per_centroid: 0: all frames; else a seeded draw of ``k`` times as many (faiss).
        threads: a result holds for one number of threads.
    """

    backend: str = "faiss"
    n_init: int = 0
    iterations: int = 20
    max_points_per_centroid: int = 0
    threads: int = 1


@dataclass(frozen=True)
class KMeans:
    """A fitted codebook.

    Attributes:
        centroids: float32 [k, D].
        inertia: mean squared distance of a training frame to its centroid.
        counts: training frames of each cluster, int64 [k].
        points: frames fitted on.
    """

    centroids: np.ndarray
    inertia: float
    counts: np.ndarray
    points: int

    @property
    def dead(self) -> int:
        """Clusters without a training frame."""
        return int((self.counts == 0).sum())


def fit_kmeans(
    frames: np.ndarray,
    k: int,
    *,
    seed: int = 0,
    options: KMeansOptions | None = None,
    progress: Callable[[], None] | None = None,
    state: KMeansState | None = None,
) -> KMeans:
    """Fit ``k`` centroids.

    Args:
        frames: float32 [N, D], C-contiguous; not changed.
        k: clusters.
        seed: decides the result, together with the number of threads.
        options: how; see there.
        progress: called after each round of the faiss backend, ``rounds(options)`` times.
        state: gets the centroids after each round; of one that a killed fit left, the rest is done.

    Raises:
        CodectokError: fewer frames than clusters, values that are not finite, an unknown backend.
    """
    options, state = options or KMeansOptions(), state or KMeansState()
    _check(frames, k, options)
    with _threads(options.threads):
        fit = _faiss if options.backend == "faiss" else _sklearn
        centroids, points = fit(frames, k, seed, options, progress or (lambda: None), state)
        state.save(centroids, None)
        units, distances = assign(frames, centroids)
    counts = np.bincount(units, minlength=k)
    return KMeans(centroids, float(distances.mean(dtype=np.float64)), counts, points)


def assign(frames: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest centroid of each frame, int64 [N], and the squared distance to it, float32 [N]."""
    import faiss

    index = faiss.IndexFlatL2(centroids.shape[1])
    index.add(np.ascontiguousarray(centroids))
    units = np.empty(len(frames), np.int64)
    distances = np.empty(len(frames), np.float32)
    for i in range(0, len(frames), BLOCK):
        d, u = index.search(np.ascontiguousarray(frames[i : i + BLOCK]), 1)
        units[i : i + BLOCK], distances[i : i + BLOCK] = u[:, 0], np.maximum(d[:, 0], 0)
    return units, distances


def rounds(options: KMeansOptions) -> int:
    """Times that ``progress`` is told of a round, at most."""
    return options.iterations + WARM_UP if options.backend == "faiss" else 0


def _faiss(
    frames: np.ndarray, k: int, seed: int, options: KMeansOptions, progress: Callable[[], None], state: KMeansState
) -> tuple[np.ndarray, int]:
    """Start, warm up on a draw of the frames, then go over all of them; empty clusters are filled."""
    rng = np.random.default_rng([seed, k])
    most = k * options.max_points_per_centroid
    if 0 < most < len(frames):
        frames = frames[np.sort(rng.choice(len(frames), most, replace=False))]
    saved = state.read(k, frames.shape[1])
    if saved is not None and saved.rounds is None:
        return saved.centroids, len(frames)
    if saved is not None and saved.draws is not None:
        centroids, done, draws = saved.centroids, saved.rounds or 0, saved.draws
        rng.bit_generator.state = draws
    else:
        centroids, _ = best_start(frames, k, starts=options.n_init or 3, rng=rng)
        done, draws = 0, dict(rng.bit_generator.state)
    few = max(WARM_UP_FRAMES, WARM_UP_POINTS * k)
    warm = WARM_UP if 2 * few < len(frames) else 0
    drawn = frames
    if done < warm:
        drawn = np.ascontiguousarray(frames[np.sort(rng.choice(len(frames), few, replace=False))])
    for i in range(warm + options.iterations):
        if i == warm:
            drawn = frames  # the draw is let go
        if i >= done:
            centroids = lloyd(drawn, centroids)
            state.save(centroids, i + 1, draws)
        progress()
    del drawn
    for _ in range(REFILLS):
        units, distances = assign(frames, centroids)
        empty = np.flatnonzero(np.bincount(units, minlength=k) == 0)
        far = np.argsort(-distances, kind="stable")[: len(empty)]
        far = far[distances[far] > 0]  # frames on a centroid already: there are fewer distinct frames than clusters
        if not len(far):
            break
        centroids[empty[: len(far)]] = frames[far]
        centroids = lloyd(frames, centroids)
    return centroids, len(frames)


def lloyd(frames: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """One iteration. faiss gives a cluster that is empty a part of a large one."""
    import faiss

    k, dim = centroids.shape
    settings = faiss.ClusteringParameters()
    settings.niter = 1
    # Left to itself, faiss takes 256 frames a centroid and says nothing; what is used is decided above.
    settings.max_points_per_centroid = -(-len(frames) // k)
    settings.min_points_per_centroid = 1
    clustering = faiss.Clustering(dim, k, settings)
    faiss.copy_array_to_vector(centroids.ravel(), clustering.centroids)
    clustering.train(frames, faiss.IndexFlatL2(dim))
    return faiss.vector_to_array(clustering.centroids).reshape(k, dim)


def _sklearn(
    frames: np.ndarray, k: int, seed: int, options: KMeansOptions, progress: Callable[[], None], state: KMeansState
) -> tuple[np.ndarray, int]:
    if (saved := state.read(k, frames.shape[1])) is not None and saved.rounds is None:
        return saved.centroids, len(frames)
    from sklearn.cluster import MiniBatchKMeans

    model = MiniBatchKMeans(
        n_clusters=k,
        init="k-means++",
        max_iter=100,
        batch_size=10000,
        tol=0.0,
        max_no_improvement=100,
        n_init=options.n_init or 20,
        reassignment_ratio=0.0,
        random_state=seed,
        compute_labels=False,
    )
    model.fit(frames)
    return np.ascontiguousarray(model.cluster_centers_, dtype=np.float32), len(frames)


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    """Hold every matrix library to a number of threads: sums change with it in the last digit, and so would units."""
    import faiss
    from threadpoolctl import threadpool_limits

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(number)
    try:
        with threadpool_limits(number):
            yield
    finally:
        faiss.omp_set_num_threads(before)


def check_count(frames: int, k: int) -> None:
    """Refuse more clusters than frames.

    Raises:
        CodectokError: there are.
    """
    if not 1 <= k <= frames:
        raise CodectokError(f"{k} clusters need at least {max(k, 1)} frames, and there are {frames}")


def _check(frames: np.ndarray, k: int, options: KMeansOptions) -> None:
    if options.backend not in BACKENDS:
        raise CodectokError(f"backend is {options.backend!r}: give {' or '.join(BACKENDS)}")
    if frames.ndim != 2 or frames.dtype != np.float32 or not frames.flags.c_contiguous:
        raise CodectokError("k-means takes a C-contiguous float32 array [N, D]")
    check_count(len(frames), k)
    if not all(np.isfinite(frames[i : i + BLOCK]).all() for i in range(0, len(frames), BLOCK)):
        raise CodectokError("some features are NaN or infinite: use float32, or leave out the clips that cause it")
