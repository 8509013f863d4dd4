"""A recipe: one flat YAML file, every key a field of :class:`Recipe` or of the codec's config."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from codectok.codec.mdct_codec import MdctCodecConfig
from codectok.errors import FormatError


@dataclass
class Recipe:
    """What one training run needs; lengths in steps, seconds or samples as named."""

    data: str = ""
    """Folder of the audio."""
    splits: str = ""
    """Table with columns path and use; clips marked ``fit`` are trained on, ``val`` is validated on."""
    cache: str = ".cache/train"
    """Folder for the decoded clips."""
    out: str = "runs/speech-16k"
    """Folder of the run: checkpoint.pt, log.jsonl, model/ (the model folder)."""
    steps: int = 10000
    batch: int = 16
    """Crops a step."""
    crop_seconds: float = 1.28
    learning_rate: float = 8e-4
    warmup_steps: int = 200
    decay_share: float = 0.4
    """Share of the steps, at the end, over which the learning rate falls to a fiftieth."""
    quantize_from: int = 400
    """Steps trained as a plain autoencoder before the codebooks start from k-means on its latents."""
    codebook_decay: float = 0.99
    full_depth_share: float = 0.4
    """Share of items quantized with all levels; the others draw a depth (quantizer dropout)."""
    windows: list[int] = field(default_factory=lambda: [128, 256, 512, 1024, 2048])
    windows_per_step: int = 3
    mel_weight: float = 20.0
    complex_weight: float = 20.0
    waveform_weight: float = 3.0
    commitment_weight: float = 0.3
    ema_decay: float = 0.999
    """Decay of the averaged weights that are validated and released."""
    checkpoint_every: int = 500
    validate_every: int = 2000
    val_clips: int = 24
    seed: int = 0
    threads: int = 1
    bf16: bool = True
    """Run the networks' matrix products in bfloat16; quantizer, transforms and losses stay float32."""
    codec: MdctCodecConfig = field(default_factory=MdctCodecConfig)


_MAY_BE_ZERO = {"seed", "warmup_steps", "quantize_from", "depth", "code_depth"}


def _typed(key: str, value: Any, kind: Any) -> Any:
    """``value`` as the type of its field; a float may be written 1e-3, which YAML reads as a string."""
    if kind is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass
    lowest = 0 if key in _MAY_BE_ZERO else 1
    whole = [v for v in (value if isinstance(value, list) else [value]) if type(v) is int and v >= lowest]
    if kind is int and [value] == whole:
        return value
    if kind == list[int] and value and value == whole:
        return value
    if kind is bool and isinstance(value, bool):
        return value
    if kind is str and isinstance(value, (str, int, float)):
        return str(value)
    what = {float: "a number", int: f"a whole number from {lowest} up", bool: "true or false", str: "a name"}
    raise FormatError(f"recipe key {key} is {value!r}: give {what.get(kind, 'a list like [256, 1024]')}")


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(getattr(error, "problem", None) or error).split())
        raise FormatError(f"{where} is not YAML ({reason}): write key: value lines, or key=value arguments") from None


def load_recipe(path: str, overrides: list[str]) -> Recipe:
    """Read a recipe by file or packaged name and apply ``key=value`` overrides.

    Raises:
        FormatError: unknown file, a key that no recipe has, or a value that is not of its type.
    """
    file = Path(path)
    if not file.is_file():
        file = Path(__file__).parent / "recipes" / f"{path}.yaml"
    if not file.is_file():
        names = sorted(p.stem for p in file.parent.glob("*.yaml"))
        raise FormatError(f"no recipe {path!r}: give a YAML file or one of {', '.join(names)}")
    values = _parse(file.read_text(encoding="utf-8", errors="replace"), str(file)) or {}
    if not isinstance(values, dict):
        raise FormatError(f"{file} is not a recipe: write key: value lines")
    for item in overrides:
        key, sign, value = item.partition("=")
        if not sign:
            raise FormatError(f"{item!r} is not key=value")
        values[key] = _parse(value, repr(item))
    codec_names = {f.name for f in fields(MdctCodecConfig)}
    own_names = {f.name for f in fields(Recipe)} - {"codec"}
    unknown = sorted(str(key) for key in values if key not in codec_names | own_names)
    if unknown:
        raise FormatError(f"unknown recipe key {unknown[0]!r}: see train_codec/recipe.py for those there are")
    kinds = get_type_hints(MdctCodecConfig) | get_type_hints(Recipe)
    values = {key: _typed(key, value, kinds[key]) for key, value in values.items()}
    codec = MdctCodecConfig(**{k: v for k, v in values.items() if k in codec_names})
    return Recipe(codec=codec, **{k: v for k, v in values.items() if k in own_names})
