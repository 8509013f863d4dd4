"""Centroids from other projects' files, without running what is in them unless that is asked for.

Tensors and arrays (``.npy``, ``.npz``, safetensors, ``.pt`` with tensors only, as bshall/hubert has them) are read as
such. fairseq, GSLM, textlesslib and ESPnet keep a pickled scikit-learn object (``.bin``, ``.km``, ``.joblib``), and a
pickle can run any program: it is opened only where it is trusted, once, and becomes a plain model folder.
"""

from __future__ import annotations

import hashlib
import os
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from codectok.errors import FormatError
from codectok.extras import need
from kmeans_units.archives import load_arrays

NAMES = ("cluster_centers_", "centroids", "codebook", "embed")
"""What centroids are called, where a file has several arrays."""


def read_centroids(path: str | os.PathLike[str], *, trust_pickle: bool = False) -> np.ndarray:
    """Centroids of one codebook.

    Args:
        path: the file.
        trust_pickle: run what a pickle says, should it be one.

    Returns:
        float32 [k, D].

    Raises:
        FormatError: missing, a pickle that is not trusted, or without centroids.
    """
    file = _existing(path)
    found = _plain(file)
    if found is None:
        if not trust_pickle:
            raise FormatError(
                f"{file} is a pickle, which can run any program: if you trust where it comes from, add --trust-pickle",
                path=file,
            )
        found = _pickled(file)
    return _checked(found, file)


def contents_hash(path: str | os.PathLike[str]) -> str:
    """sha256 of a file of centroids.

    Raises:
        FormatError: missing.
    """
    with open(_existing(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _existing(path: str | os.PathLike[str]) -> Path:
    file = Path(path)
    if not file.is_file():
        raise FormatError(f"there is no file {file}: give the k-means file to import", path=file)
    return file


def _plain(file: Path) -> Any:
    """What the file holds, None where only a pickle can tell."""
    import torch
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if file.suffix == ".safetensors":
        try:
            return load_file(file)
        except SafetensorError as error:
            raise FormatError(f"{file} is damaged ({error}): get it again", path=file) from None
    with open(file, "rb") as opened:
        start = opened.read(6)
    if start.startswith((b"\x93NUMPY", b"PK")):
        try:
            arrays = load_arrays(file)
        except FormatError:
            raise
        except (ValueError, EOFError, OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
            return None
        if arrays is not None:
            return arrays
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception:
            return None  # whatever torch says of bytes it does not know, they are not tensors only


def _pickled(file: Path) -> Any:
    need(f"{file} is a pickle, which needs", "units", "joblib")
    import joblib
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of another version of scikit-learn: only the array is taken
        for load in (joblib.load, lambda f: torch.load(f, map_location="cpu", weights_only=False)):
            try:
                return load(file)
            except ImportError as error:
                raise FormatError(f"{file} needs {error.name} to be opened: install that", path=file) from None
            except Exception as error:
                reason = " ".join(str(error).split()) or type(error).__name__
    raise FormatError(f"{file} cannot be opened: {reason}", path=file)


def _checked(found: Any, file: Path) -> np.ndarray:
    if not isinstance(found, Mapping) and hasattr(found, "cluster_centers_"):
        found = found.cluster_centers_
    if isinstance(found, Mapping):
        two = {name: v for name, v in found.items() if getattr(v, "ndim", 0) == 2}
        named = [two[name] for name in NAMES if name in two] or list(two.values())
        if not named or (len(named) > 1 and not any(name in two for name in NAMES)):
            raise FormatError(
                f"{file} has no array called {NAMES[0]}, but {', '.join(map(str, found)) or 'nothing'}", path=file
            )
        found = named[0]
    try:
        centroids = np.ascontiguousarray(np.asarray(found), dtype=np.float32)
    except (TypeError, ValueError):
        raise FormatError(f"{file} holds a {type(found).__name__}, no centroids", path=file) from None
    if centroids.ndim != 2 or not centroids.size or not np.isfinite(centroids).all():
        raise FormatError(f"{file} holds an array of shape {centroids.shape}: centroids are finite, [k, D]", path=file)
    return centroids
