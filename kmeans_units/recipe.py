"""A recipe for fitting units: one flat YAML file; a key is a field of :class:`FitRecipe`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from codectok.errors import FormatError
from codectok.settings.build import build
from codectok.settings.explain import Setting, explain
from codectok.settings.kinds import Count, Natural, NotNegative, Positive, one_or_more
from codectok.settings.values import Values, read
from kmeans_units.kmeans import KMeansOptions
from kmeans_units.sample_options import SampleOptions

RECIPES = Path(__file__).parent / "recipes"


@dataclass
class FitRecipe:
    """A fit of units: encoder, layer, k-means. 0 and the empty list leave a setting out."""

    data: str = ""
    """Corpus: a folder of audio or a manifest."""
    encoder: str = ""
    """Model folder or hub id, or a baseline (logmel, mfcc)."""
    layer: Annotated[list[int], one_or_more(int)] = field(default_factory=list)
    """One or several; each gets codebooks of its own."""
    convention: Literal["hf", "fairseq", "pre-residual"] = "hf"
    """How layers are counted: see codectok.units.encoders.conventions."""
    padding: Literal["hop", "none"] = "hop"
    """Frame grid: hop (a frame for every hop) or none (the model's own, fewer)."""
    dtype: Literal["float32", "bfloat16", "int8"] = "float32"
    """The encoder's arithmetic; int8 is for CPUs."""
    device: str = "cpu"
    """Of the encoder."""
    window_seconds: NotNegative = 0.0
    """Longest audio encoded at once; 0 for the encoder's default."""
    tail_seconds: NotNegative = 0.0
    """Whisper only: silence after each clip instead of padding to 30 s; 0 for all of it."""
    k: Annotated[list[Count], one_or_more(Count)] = field(default_factory=lambda: [500])
    """Clusters; several numbers are residual levels, for each layer."""
    standardize: bool = False
    """Bring each feature to zero mean and unit variance first; mean and scale are stored with the centroids."""
    hours: NotNegative = 0.0
    """Most hours of frames to fit on."""
    percent: NotNegative = 0.0
    """Share of the frames to fit on."""
    frames: Natural = 0
    """Most frames to fit on."""
    memory_gib: Positive = 1.0
    """Bounds the frames where hours and frames do not."""
    clips: Natural = 0
    """Encode only so many clips, drawn by the seed."""
    valid_share: NotNegative = 0.05
    """Share of the clips held out of the fit."""
    seed: Natural = 0
    """Of every draw."""
    backend: Literal["faiss", "sklearn"] = "faiss"
    """sklearn is fairseq's MiniBatchKMeans."""
    n_init: Natural = 0
    """k-means++ starts; 0 for the backend's default (faiss 3, sklearn 20)."""
    iterations: Natural = 20
    """Lloyd iterations over all frames (faiss)."""
    max_points_per_centroid: Natural = 0
    """Frames a centroid that are used at most (faiss)."""
    threads: Count = 1
    """Of the k-means; results hold for one number of threads."""
    cache: str = ".cache/units"
    """Folder where sampled frames are kept: for a killed fit, and for other values of k. Empty: nowhere."""
    dump: str = ""
    """Folder for all features in fairseq's layout (.npy and .len)."""
    centroids: Annotated[list[str], one_or_more(str)] = field(default_factory=list)
    """Files to import instead of fitting: one for each level, layer after layer."""
    bpe_vocab_sizes: Annotated[list[Count], one_or_more(Count)] = field(default_factory=list)
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


def read_recipe(path: str, overrides: Sequence[str]) -> Values:
    """Keys and values of a recipe by file or packaged name, with ``key=value`` over them; not yet checked."""
    return read([path], overrides, RECIPES)


def explain_recipe(values: Values) -> list[Setting]:
    """Every setting of the recipe that ``values`` are.

    Raises:
        FormatError: an unknown key, or a value that is not what its field may be.
    """
    return explain(FitRecipe, values)


def load_recipe(path: str, overrides: Sequence[str]) -> FitRecipe:
    """Read a recipe by file or packaged name and apply ``key=value`` overrides.

    Raises:
        FormatError: no such file, an unknown key, a value that is not what its field may be, or one that is missing.
    """
    recipe = build(FitRecipe, read_recipe(path, overrides))
    needed = [("encoder", recipe.encoder, "ID_OR_FOLDER"), ("layer", recipe.layer, "N"), ("k", recipe.k, "N")]
    needed += [] if recipe.centroids else [("data", recipe.data, "CORPUS")]
    for key, value, example in needed:
        if not value:
            raise FormatError(f"the recipe has no {key}: give {key}={example}")
    return recipe
