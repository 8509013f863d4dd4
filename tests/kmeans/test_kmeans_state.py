"""A k-means that is killed goes on at its last round, and ends with the bits of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kmeans_units.kmeans import KMeansOptions, fit_kmeans
from kmeans_units.kmeans_state import KMeansState
from tests.kmeans.fake_encoder import write_corpus

pytest.importorskip("faiss")
ROOT = Path(__file__).parents[2]
FRAMES = np.random.default_rng(0).standard_normal((2000, 6)).astype(np.float32)


class Killed(Exception):
    pass


@pytest.mark.parametrize("options", [KMeansOptions(), KMeansOptions(max_points_per_centroid=40)])
@pytest.mark.parametrize("at", [1, 7, 11, 29])
def test_a_fit_goes_on_at_any_round(
    at: int, options: KMeansOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmeans_units.kmeans.WARM_UP_FRAMES", 400)
    monkeypatch.setattr("kmeans_units.kmeans.WARM_UP_POINTS", 1)
    whole = fit_kmeans(FRAMES, 30, seed=3, options=options)
    state, told = KMeansState(tmp_path / "k.npz"), 0

    def kill() -> None:
        nonlocal told
        told += 1
        if told == at:
            raise Killed

    with pytest.raises(Killed):
        fit_kmeans(FRAMES, 30, seed=3, options=options, progress=kill, state=state)
    saved = state.read(30, 6)
    assert saved is not None
    assert saved.rounds == at
    work = []
    monkeypatch.setattr("kmeans_units.kmeans.best_start", None)  # it is not drawn again
    from kmeans_units import kmeans

    lloyd = kmeans.lloyd
    monkeypatch.setattr(kmeans, "lloyd", lambda *a: work.append(1) or lloyd(*a))
    told = -1000
    again = fit_kmeans(FRAMES, 30, seed=3, options=options, progress=kill, state=state)
    assert again.centroids.tobytes() == whole.centroids.tobytes()
    assert (again.inertia, again.counts.tolist()) == (whole.inertia, whole.counts.tolist())
    assert told == -970  # every round is told of
    assert len(work) <= 30 - at + 3
    monkeypatch.setattr(kmeans, "lloyd", None)  # a fit that is over is not done again
    assert fit_kmeans(FRAMES, 30, seed=3, options=options, state=state).centroids.tobytes() == again.centroids.tobytes()


@pytest.mark.parametrize("junk", [b"", b"PK\x03\x04 nothing", None])
def test_a_file_that_is_no_state_is_left_aside(junk: bytes | None, tmp_path: Path) -> None:
    state = KMeansState(tmp_path / "k.npz")
    if junk is None:
        state.save(np.zeros((9, 6), np.float32), 5, None)  # of other clusters
    else:
        (tmp_path / "k.npz").write_bytes(junk)
    assert state.read(30, 6) is None
    found = fit_kmeans(FRAMES, 30, state=state)
    assert found.centroids.tobytes() == fit_kmeans(FRAMES, 30).centroids.tobytes()


@pytest.mark.slow
def test_a_killed_command_goes_on_in_its_k_means(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [3.0] * 12)
    (tmp_path / "r.yaml").write_text(f"data: {corpus}\nencoder: logmel\nlayer: 0\nk: [60, 60]\niterations: 300\n")
    command = [sys.executable, "-m", "codectok", "units", "fit", str(tmp_path / "r.yaml")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    def start(name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*command, f"cache={tmp_path / name}-cache", "-o", tmp_path / name], env=environment)

    assert start("whole").wait(300) == 0
    for level in (0, 1):  # killed in the first codebook, then in the second
        process = start("killed")
        while not list(tmp_path.glob(f"killed-cache/kmeans-*-0-{level}.npz")):
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "killed/config.json").exists()
    assert start("killed").wait(300) == 0
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list(tmp_path.glob("*-cache/kmeans-*"))
