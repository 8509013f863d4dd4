"""A recipe: one flat YAML file; a key is a field of a settings group, of the augmentations or of the codec's config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codectok import registry
from codectok.errors import FormatError
from codectok.settings.build import build, flat
from codectok.settings.explain import Setting, explain
from codectok.settings.values import Values, did_you_mean, read
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
from train_codec.shipped import shipped
from train_codec.student.settings import TASKS, TaskRecipe

RECIPES = Path(__file__).parent / "recipes"


@dataclass
class Recipe:
    """A codec, trained on audio."""

    config: Any
    """Of the codec."""
    codec: str = "harmonic"
    """Kind of codec: harmonic, envelope, encodec, mimi or dac. The keys of its shape are those of its config."""
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
        return flat(self)


def read_recipe(path: str, overrides: Sequence[str]) -> Values:
    """Keys and values of a recipe by file or packaged name, with ``key=value`` over them; not yet checked."""
    values = read([path], overrides, RECIPES)
    for key in ("data", "splits"):
        if isinstance(place := values.plain.get(key), str):
            values.plain[key] = shipped(place)
    return values


def recipe_kind(values: Values) -> tuple[type[Recipe] | type[TaskRecipe], dict[str, type]]:
    """What a recipe is of, by its keys ``task`` and ``codec``, and the groups that this leaves open.

    Raises:
        FormatError: no such task or codec.
    """
    if (task := values.plain.get("task")) is not None:
        if task not in TASKS:
            where = f"{values.source(('task',))}: task is {task!r}"
            raise FormatError(f"{where}: give {' or '.join(TASKS)}, or leave it out to train a codec")
        return TASKS[task], {}
    codec = str(values.plain.get("codec", Recipe.codec))
    if not registry.known("codecs", f"{codec}-codec"):
        known = sorted(name.removesuffix("-codec") for name in registry.names("codecs"))
        where = f"{values.source(('codec',))}: codec is {codec!r}{did_you_mean(codec, known)}"
        raise FormatError(f"{where}: give one of {', '.join(known)}")
    return Recipe, {"config": registry.find("codecs", f"{codec}-codec").config_class}


def load_recipe(path: str, overrides: Sequence[str]) -> Recipe:
    """A codec's recipe by file or packaged name, with ``key=value`` over it.

    Raises:
        FormatError: no such file, an unknown key, or a value that is not what its field may be.
    """
    recipe = build_recipe(read_recipe(path, overrides))
    if not isinstance(recipe, Recipe):
        raise FormatError(f"{path} is no recipe of a codec, but of {recipe.task}", path=path)
    return recipe


def build_recipe(values: Values) -> Recipe | TaskRecipe:
    """The recipe that ``values`` are; errors as :func:`load_recipe`."""
    kind, groups = recipe_kind(values)
    return build(kind, values, **groups)


def explain_recipe(values: Values) -> list[Setting]:
    """Every setting of the recipe that ``values`` are; errors as :func:`load_recipe`."""
    kind, groups = recipe_kind(values)
    return explain(kind, values, **groups)
