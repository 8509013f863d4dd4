"""A recipe: one flat YAML file; a key is a field of a settings group, of the augmentations or of the codec's config."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from codectok import recipes, registry
from codectok.errors import FormatError
from train_codec.augment import Augment
from train_codec.settings import (
    AdversarialSettings,
    DataSettings,
    DistillSettings,
    LossSettings,
    OptimizerSettings,
    QuantizerSettings,
    RunSettings,
)


@dataclass
class Recipe:
    """All settings of one run; ``config`` is the config of the codec named by ``codec``."""

    codec: str
    config: Any
    data: DataSettings = field(default_factory=DataSettings)
    run: RunSettings = field(default_factory=RunSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    quantizer: QuantizerSettings = field(default_factory=QuantizerSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    adversarial: AdversarialSettings = field(default_factory=AdversarialSettings)
    distill: DistillSettings = field(default_factory=DistillSettings)
    augment: Augment = field(default_factory=Augment)

    def flat(self) -> dict[str, Any]:
        """All keys and their values, as a recipe file would give them."""
        values: dict[str, Any] = {"codec": self.codec}
        for f in fields(self):
            if f.name != "codec":
                values |= asdict(getattr(self, f.name))
        return values


GROUPS: dict[str, type] = {
    "data": DataSettings,
    "run": RunSettings,
    "optimizer": OptimizerSettings,
    "quantizer": QuantizerSettings,
    "loss": LossSettings,
    "adversarial": AdversarialSettings,
    "distill": DistillSettings,
    "augment": Augment,
}

_MAY_BE_ZERO = {
    "seed", "warmup_steps", "quantize_from", "depth", "code_depth", "phase_from", "adversarial_from",
    "adversarial_items", "teacher_dim", "revive_every", "waveform_from", "ahead",
    "mel_from", "vocoder_ahead",
}  # fmt: skip
_MAY_BE_NEGATIVE = {"teacher_layer"}


def _whole(key: str, value: Any) -> bool:
    lowest = -(10**6) if key in _MAY_BE_NEGATIVE else 0 if key in _MAY_BE_ZERO else 1
    return type(value) is int and value >= lowest


def _number(value: Any) -> float | None:
    """A float may be written 1e-3, which YAML reads as a string."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _typed(key: str, value: Any, kind: Any) -> Any:
    """``value`` as the type of its field."""
    if kind is float and (number := _number(value)) is not None:
        return number
    if kind is int and _whole(key, value):
        return value
    if isinstance(value, list):
        if kind == list[int] and all(_whole(key, v) for v in value):
            return value
        if kind == list[float] and None not in (numbers := [_number(v) for v in value]):
            return numbers
        if kind == list[str] and all(isinstance(v, str) for v in value):
            return value
    if kind is bool and isinstance(value, bool):
        return value
    if kind is str and value is not None and not isinstance(value, (list, dict, bool)):
        return str(value)
    lowest = "0" if key in _MAY_BE_ZERO else "1"
    what = {float: "a number", int: f"a whole number from {lowest} up", bool: "true or false", str: "a name"}
    what |= {list[str]: "a list like [ms_stft, periods]", list[float]: "a list like [0.3, 0.4]"}
    raise FormatError(f"recipe key {key} is {value!r}: give {what.get(kind, 'a list like [256, 1024]')}")


def read_values(path: str, overrides: list[str]) -> dict[Any, Any]:
    """Keys and values of a recipe by file or packaged name; see :func:`codectok.recipes.read_values`."""
    return recipes.read_values(path, overrides, Path(__file__).parent / "recipes")


def fill_groups(values: dict[Any, Any], groups: dict[str, type]) -> dict[str, Any]:
    """One object of each group (a dataclass), with those of the flat ``values`` that are its fields.

    Raises:
        FormatError: a key that no group has, or a value that is not of its field's type.
    """
    owners = {f.name: name for name, group in groups.items() for f in fields(group)}
    if unknown := sorted(str(key) for key in values if key not in owners):
        raise FormatError(
            f"unknown recipe key {unknown[0]!r}: see the fields of "
            + ", ".join(f"{group.__name__} ({group.__module__})" for group in groups.values())
        )
    kinds = {n: kind for group in groups.values() for n, kind in get_type_hints(group).items()}
    given: dict[str, dict[str, Any]] = {name: {} for name in groups}
    for key, value in values.items():
        given[owners[key]][key] = _typed(key, value, kinds[key])
    return {name: group(**given[name]) for name, group in groups.items()}


def load_recipe(path: str, overrides: list[str]) -> Recipe:
    """Read a recipe by file or packaged name and apply ``key=value`` overrides.

    Raises:
        FormatError: unknown file, a key that no recipe has, or a value that is not of its type.
    """
    values = read_values(path, overrides)
    codec = str(values.pop("codec", "harmonic"))
    if not registry.known("codecs", f"{codec}-codec"):
        names = ", ".join(sorted(name.removesuffix("-codec") for name in registry.names("codecs")))
        raise FormatError(f"recipe key codec is {codec!r}: give one of {names}")
    config_class = registry.find("codecs", f"{codec}-codec").config_class
    recipe = Recipe(codec=codec, **fill_groups(values, {**GROUPS, "config": config_class}))
    _check(recipe)
    return recipe


def _check(recipe: Recipe) -> None:
    q = recipe.quantizer
    if len(q.depths) != len(q.depth_shares) or sum(q.depth_shares) > 1 or min(q.depth_shares, default=0) < 0:
        raise FormatError("depths and depth_shares must be of one length, the shares from 0 up and at most 1 together")
    if recipe.loss.windows_per_step > len(recipe.loss.windows):
        raise FormatError(f"windows_per_step is more than the {len(recipe.loss.windows)} windows")
