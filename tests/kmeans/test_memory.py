"""Memory of a fit: bounded by the recipe, whatever the length of the corpus."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("faiss")

# Streams frames through a reservoir and fits, as `units fit` does; prints the peak of the resident memory in MiB,
# before the frames and at the end.
PROGRAM = """
import resource, sys, tempfile
from pathlib import Path
import numpy as np
from kmeans_units.kmeans import KMeansOptions
from kmeans_units.sample_run import SampleRun
from kmeans_units.sample_options import SampleOptions
from kmeans_units.streams import fit_stream
from tests.kmeans.fake_encoder import FakeEncoder
from kmeans_units.clips import ReadClip
from codectok.items.item import Item
import faiss, torch, safetensors.torch

frames, dim, memory, k = int(sys.argv[1]), 768, float(sys.argv[2]), int(sys.argv[3])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
encoder = FakeEncoder(layer_dim=dim)
options = SampleOptions(memory_gib=memory)
with tempfile.TemporaryDirectory() as folder:
    run = SampleRun([dim], options.bound(encoder), 1.0, 0, {}, Path(folder) / "state.npz")
    base, rng, clip = peak(), np.random.default_rng(0), 0
    part = rng.standard_normal((3000, dim), dtype=np.float32)
    for start in range(0, frames, len(part)):
        part[:, start // len(part) % dim] += 1
        run.take(ReadClip(clip, Item(str(clip), "x"), None, 60.0), part, held_out=clip % 20 == 0)
        clip += 1
        if clip % (frames // len(part) // 2) == 0:
            run.save()
    run.done = True
    run.save()
    kept = len(run.fit.layers()[0])
    fit_stream(0, run.fit.layers()[0], run.valid.layers()[0], [k, k], standardize=True, seed=0,
               options=KMeansOptions(iterations=1, n_init=1))
print(round(base), round(peak()), kept, run.counts.frames)
"""


def measure(frames: int, memory_gib: float, k: int) -> tuple[int, int, int, int]:
    root = Path(__file__).parents[2]
    arguments = [sys.executable, "-c", PROGRAM, str(frames), str(memory_gib), str(k)]
    out = subprocess.run(arguments, cwd=root, capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    base, peak, kept, offered = map(int, out.stdout.split())
    return base, peak, kept, offered


def test_a_stream_many_times_the_memory_allowed() -> None:
    base, peak, kept, offered = measure(frames=120_000, memory_gib=0.03, k=16)
    assert offered == 120_000  # 352 MiB of frames
    assert kept * 768 * 4 <= 0.03 * 2**30
    assert peak - base < 240  # the frames, those held out (at most as many), and the working memory of k-means


@pytest.mark.slow
def test_100_hours_stay_under_2_gib() -> None:
    _, peak, kept, offered = measure(frames=18_000_000, memory_gib=1.0, k=500)
    assert offered >= 18_000_000
    assert kept > 300_000
    assert peak < 2048
