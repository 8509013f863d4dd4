"""A recipe for fitting units: one flat YAML file; a key is a field of :class:`FitRecipe`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from codectok.errors import FormatError
from codectok.recipes import read_values
from kmeans_units.kmeans import BACKENDS, KMeansOptions
from kmeans_units.sample_options import SampleOptions


@dataclass
class FitRecipe:
    """All settings of one fit. 0 and the empty list leave a setting out."""

    data: str = ""
    """Corpus: a folder of audio or a manifest."""
    encoder: str = ""
    """Model folder or hub id, or a baseline (logmel, mfcc)."""
    layer: list[int] = field(default_factory=list)
    """One or several; each gets codebooks of its own."""
    convention: str = "hf"
    """How layers are counted: hf, fairseq or pre-residual."""
    padding: str = "hop"
    """Frame grid: hop (a frame for every hop) or none (the model's own, fewer)."""
    dtype: str = "float32"
    """The encoder's arithmetic."""
    device: str = "cpu"
    """Of the encoder."""
    window_seconds: float = 0.0
    """Longest audio encoded at once; 0 for the encoder's default."""
    tail_seconds: float = 0.0
    """Whisper only: silence after each clip instead of padding to 30 s; 0 for all of it."""
    k: list[int] = field(default_factory=lambda: [500])
    """Clusters; several numbers are residual levels, for each layer."""
    standardize: bool = False
    """Bring each feature to zero mean and unit variance first; mean and scale are stored with the centroids."""
    hours: float = 0.0
    """Most hours of frames to fit on."""
    percent: float = 0.0
    """Share of the frames to fit on."""
    frames: int = 0
    """Most frames to fit on."""
    memory_gib: float = 1.0
    """Bounds the frames where hours and frames do not."""
    clips: int = 0
    """Encode only so many clips, drawn by the seed."""
    valid_share: float = 0.05
    """Share of the clips held out of the fit."""
    seed: int = 0
    backend: str = "faiss"
    """faiss, or sklearn for fairseq's MiniBatchKMeans."""
    n_init: int = 0
    """k-means++ starts; 0 for the backend's default (faiss 3, sklearn 20)."""
    iterations: int = 20
    """Lloyd iterations over all frames (faiss)."""
    max_points_per_centroid: int = 0
    """Frames a centroid that are used at most (faiss)."""
    threads: int = 1
    """Of the k-means; results hold for one number of threads."""
    cache: str = ".cache/units"
    """Folder where sampled frames are kept: for a killed fit, and for other values of k. Empty: nowhere."""
    dump: str = ""
    """Folder for all features in fairseq's layout (.npy and .len)."""
    centroids: list[str] = field(default_factory=list)
    """Files to import instead of fitting: one for each level, layer after layer."""
    bpe_vocab_sizes: list[int] = field(default_factory=list)
    """Vocabulary sizes of a BPE trained on the units afterwards: the largest is stored, the others are its prefixes."""

    def sample_options(self) -> SampleOptions:
        """Which frames are drawn."""
        return SampleOptions(**{f.name: getattr(self, f.name) for f in fields(SampleOptions)})

    def kmeans_options(self) -> KMeansOptions:
        """How they are clustered."""
        return KMeansOptions(**{f.name: getattr(self, f.name) for f in fields(KMeansOptions)})

    def encoder_options(self) -> dict[str, Any]:
        """Of ``load_encoder``, besides name, layer and device."""
        given = {"convention": self.convention, "padding": self.padding, "dtype": self.dtype}
        times = {"window_seconds": self.window_seconds, "tail_seconds": self.tail_seconds}
        return given | {name: seconds for name, seconds in times.items() if seconds}


_POSITIVE = {"k", "threads", "memory_gib", "bpe_vocab_sizes"}
_ANY_SIGN = {"layer"}
_WHAT = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "a name",
    list[int]: "a whole number or a list like [6, 9]",
    list[str]: "a file or a list of files",
}


def load_recipe(path: str, overrides: list[str]) -> FitRecipe:
    """Read a recipe by file or packaged name and apply ``key=value`` overrides.

    Raises:
        FormatError: unknown file, a key that no recipe has, or a value that is not of its type.
    """
    values = read_values(path, overrides, Path(__file__).parent / "recipes")
    kinds = get_type_hints(FitRecipe)
    if unknown := sorted(str(key) for key in values if key not in kinds):
        raise FormatError(f"unknown recipe key {unknown[0]!r}: there are {', '.join(kinds)}")
    recipe = FitRecipe(**{key: _typed(key, value, kinds[key]) for key, value in values.items()})
    _check(recipe)
    return recipe


def _check(recipe: FitRecipe) -> None:
    if recipe.backend not in BACKENDS:
        raise FormatError(f"recipe key backend is {recipe.backend!r}: give {' or '.join(BACKENDS)}")
    needed = [("encoder", recipe.encoder, "ID_OR_FOLDER"), ("layer", recipe.layer, "N"), ("k", recipe.k, "N")]
    needed += [] if recipe.centroids else [("data", recipe.data, "CORPUS")]
    for key, value, example in needed:
        if not value:
            raise FormatError(f"the recipe has no {key}: give {key}={example}")


def _typed(key: str, value: Any, kind: Any) -> Any:
    """``value`` as the type of its field; a list may be given as its only item."""
    lowest = None if key in _ANY_SIGN else 1 if key in _POSITIVE else 0
    if kind in (list[int], list[str]):
        found = [] if value == "" else value if isinstance(value, list) else [value]
        if kind == list[int] and all(type(v) is int and (lowest is None or v >= lowest) for v in found):
            return found
        if kind == list[str] and all(isinstance(v, str) for v in found):
            return found
    elif kind is float and not isinstance(value, bool) and isinstance(value, int | float | str):
        try:
            number = float(value)  # 1e-3 is a string to YAML
        except ValueError:
            number = -1.0
        if math.isfinite(number) and number >= 0 and (number > 0 or lowest == 0):
            return number
    elif (kind is int and type(value) is int and value >= (lowest or 0)) or (kind is bool and isinstance(value, bool)):
        return value
    elif kind is str and value is not None and not isinstance(value, list | dict | bool):
        return str(value)
    bound = "" if lowest is None or kind in (bool, str, list[str]) else f", {lowest} or more"
    raise FormatError(f"recipe key {key} is {value!r}: give {_WHAT[kind]}{bound}")
