"""Every setting of every kind of file says what it means, and no key has two meanings."""

from __future__ import annotations

from dataclasses import fields

import pytest

from benchmarks.contract import Budget
from benchmarks.llm_probe.options import SIZES, LLMOptions
from benchmarks.probes.options import ProbeOptions
from benchmarks.runner.suite import Suite, SuiteEntry
from benchmarks.tasks.sound import SoundOptions
from codectok import registry
from codectok.codec.conv import PAD_MODES
from codectok.codec.seanet import SeanetConfig
from codectok.llm.training.settings import TrainSettings, TrainStage
from codectok.settings.build import shape_of
from codectok.settings.explain import docs
from codectok.units.encoders.conventions import CONVENTIONS
from codectok.units.encoders.options import DTYPES, PADDINGS
from kmeans_units.kmeans import BACKENDS
from kmeans_units.recipe import FitRecipe
from train_codec.distill.loss import KINDS
from train_codec.losses.adversarial import ADVERSARIAL_LOSSES
from train_codec.objective import MEL_LOSSES
from train_codec.recipe import Recipe
from train_codec.student.settings import TASKS

GROUPS = [{"config": registry.find("codecs", name).config_class} for name in registry.names("codecs")]
FILES = [(Recipe, g) for g in GROUPS] + [(kind, {}) for kind in (*TASKS.values(), FitRecipe, TrainSettings, Suite)]


@pytest.mark.parametrize(("kind", "groups"), FILES)
def test_every_setting_says_what_it_means(kind: type, groups: dict[str, type]) -> None:
    for key, owner in shape_of(kind, **groups).owners.items():
        assert docs(owner).get(key, "").endswith("."), f"{owner.__name__}.{key} has no line that says what it means"


@pytest.mark.parametrize("kind", [TrainStage, SuiteEntry, Budget, ProbeOptions, LLMOptions, SoundOptions])
def test_every_setting_within_says_what_it_means(kind: type) -> None:
    for f in fields(kind):
        assert docs(kind).get(f.name, "").endswith("."), f"{kind.__name__}.{f.name}"


def test_a_key_of_two_meanings_is_refused() -> None:
    """As soon as a file of its kind is read, which the tests above do."""
    with pytest.raises(TypeError, match="duplicated: 'steps'"):
        shape_of(Recipe, config=TrainStage)


@pytest.mark.parametrize(
    ("kind", "groups", "key", "table"),
    [
        (Recipe, GROUPS[0], "mel_kind", MEL_LOSSES),
        (Recipe, GROUPS[0], "adversarial_kind", ADVERSARIAL_LOSSES),
        (Recipe, GROUPS[0], "distill_kind", KINDS),
        (FitRecipe, {}, "convention", CONVENTIONS),
        (FitRecipe, {}, "padding", PADDINGS),
        (FitRecipe, {}, "dtype", DTYPES),
        (FitRecipe, {}, "backend", BACKENDS),
        (SeanetConfig, {}, "pad_mode", PAD_MODES),
        (LLMOptions, {}, "size", SIZES),
    ],
)
def test_choices_are_those_of_the_code(kind: type, groups: dict[str, type], key: str, table: object) -> None:
    assert shape_of(kind, **groups).schema["properties"][key]["enum"] == list(table)  # type: ignore[call-overload]
