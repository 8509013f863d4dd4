from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from codectok.errors import FormatError
from kmeans_units.imports import read_centroids

joblib = pytest.importorskip("joblib")
cluster = pytest.importorskip("sklearn.cluster")

CENTRES = np.random.default_rng(0).standard_normal((12, 5)).astype(np.float32)


class Marker:
    """Unpickling it leaves a file behind: how a test sees that a pickle was run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def fitted() -> object:
    model = cluster.MiniBatchKMeans(12, n_init=1, random_state=0).fit(np.repeat(CENTRES, 10, axis=0))
    model.cluster_centers_ = CENTRES.astype(np.float64)
    return model


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors", ".pt", "dict.pt", "own.npz"])
def test_arrays_and_tensors_need_no_trust(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"km{suffix}"
    {
        ".npy": lambda: np.save(file, CENTRES.astype(np.float64)),
        ".npz": lambda: np.savez(file, whatever=CENTRES),
        "own.npz": lambda: np.savez(file, other=np.zeros((2, 2)), centroids=CENTRES, k=12),
        ".safetensors": lambda: save_file({"cluster_centers_": CENTRES}, file),
        ".pt": lambda: torch.save(torch.from_numpy(CENTRES), file),
        # As bshall/hubert has them.
        "dict.pt": lambda: torch.save(
            {"n_features_in_": 5, "_n_threads": 4, "cluster_centers_": torch.from_numpy(CENTRES)}, file
        ),
    }[suffix]()
    found = read_centroids(file)
    assert found.dtype == np.float32
    assert np.array_equal(found, CENTRES)


@pytest.mark.parametrize(
    "how", ["joblib.bin", "compressed.km", "pickle.km", "pickle.pt", "joblib.pt", "protocol0.bin", "torch.pt"]
)
def test_pickles_of_scikit_learn_only_where_trusted(tmp_path: Path, how: str) -> None:
    file = tmp_path / how
    model = fitted()
    if how == "compressed.km":
        joblib.dump(model, file, compress=3)
    elif how.startswith("joblib"):
        joblib.dump(model, file)
    elif how == "torch.pt":
        torch.save(model, file)
    else:
        file.write_bytes(pickle.dumps(model, protocol=0 if "0" in how else 4))
    with pytest.raises(FormatError, match=r"pickle.*--trust-pickle"):
        read_centroids(file)
    assert np.array_equal(read_centroids(file, trust_pickle=True), CENTRES)


@pytest.mark.parametrize("suffix", [".bin", ".km", ".npy", ".npz", ".pt", ".safetensors", ".joblib"])
@pytest.mark.parametrize("writer", ["pickle", "joblib", "torch", "numpy"])
def test_nothing_is_run_without_trust(tmp_path: Path, suffix: str, writer: str) -> None:
    ran, file = tmp_path / "ran", tmp_path / f"km{suffix}"
    bad = {"cluster_centers_": CENTRES, "x": Marker(ran)}
    with open(file, "wb") as opened:
        if writer == "pickle":
            pickle.dump(bad, opened)
        elif writer == "joblib":
            joblib.dump(bad, opened)
        elif writer == "torch":
            torch.save(bad, opened)
        else:
            np.savez(opened, cluster_centers_=np.array([Marker(ran)], dtype=object))
    with pytest.raises(FormatError):
        read_centroids(file)
    assert not ran.exists()
    if suffix == ".km" and writer == "pickle":
        read_centroids(file, trust_pickle=True)
        assert ran.exists(), "the test can see a pickle that is run"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "trust"),
        (b"no centroids at all", "trust"),
        (np.zeros(5), r"shape \(5,\)"),
        (np.full((3, 2), np.nan), "finite"),
        ({"a": np.zeros((3, 2)), "b": np.zeros((4, 2))}, "cluster_centers_"),
        ({"a": np.zeros(3)}, "cluster_centers_"),
    ],
)
def test_files_without_centroids(tmp_path: Path, content: object, message: str) -> None:
    file = tmp_path / "km.npz"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif isinstance(content, dict):
        np.savez(file, **content)
    else:
        with open(file, "wb") as opened:
            np.save(opened, content)
    with pytest.raises(FormatError, match=message):
        read_centroids(file)


def test_trusted_but_broken_or_missing(tmp_path: Path) -> None:
    (tmp_path / "x.km").write_bytes(b"rubbish")
    with pytest.raises(FormatError, match="cannot be opened"):
        read_centroids(tmp_path / "x.km", trust_pickle=True)
    (tmp_path / "y.km").write_bytes(pickle.dumps(["a list"]))
    with pytest.raises(FormatError, match="holds a list"):
        read_centroids(tmp_path / "y.km", trust_pickle=True)
    with pytest.raises(FormatError, match="no file"):
        read_centroids(tmp_path / "z.km")
