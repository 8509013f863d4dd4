"""A recipe: one flat YAML file, every key a field of :class:`Recipe` or of the codec's config."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

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
    """Folder of the run: checkpoint.pt, log.jsonl, best/ (the model folder)."""
    steps: int = 9000
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
    mel_weight: float = 7.0
    complex_weight: float = 80.0
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


def load_recipe(path: str, overrides: list[str]) -> Recipe:
    """Read a recipe by file or packaged name and apply ``key=value`` overrides.

    Raises:
        FormatError: unknown file, or a key that no recipe has.
    """
    file = Path(path)
    if not file.exists():
        file = Path(__file__).parent / "recipes" / f"{path}.yaml"
    if not file.exists():
        names = sorted(p.stem for p in file.parent.glob("*.yaml"))
        raise FormatError(f"no recipe {path!r}: give a YAML file or one of {', '.join(names)}")
    values: dict[str, Any] = yaml.safe_load(file.read_text()) or {}
    for item in overrides:
        key, sign, value = item.partition("=")
        if not sign:
            raise FormatError(f"{item!r} is not key=value")
        values[key] = yaml.safe_load(value)
    codec_names = {f.name for f in fields(MdctCodecConfig)}
    own_names = {f.name for f in fields(Recipe)} - {"codec"}
    unknown = sorted(set(values) - codec_names - own_names)
    if unknown:
        raise FormatError(f"unknown recipe key {unknown[0]!r}: see train_codec/recipe.py for those there are")
    codec = MdctCodecConfig(**{k: v for k, v in values.items() if k in codec_names})
    return Recipe(codec=codec, **{k: v for k, v in values.items() if k in own_names})
