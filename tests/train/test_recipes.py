"""Recipes: what they hold, what they refuse, and what depends on the step alone."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from codectok import FormatError
from tests.train.recipes import recipe
from train_codec.recipe import build_recipe, load_recipe, read_recipe
from train_codec.schedule import depths, learning_rate_share, starts

RECIPES = sorted(p.stem for p in (Path(__file__).parents[2] / "train_codec/recipes").glob("*.yaml"))


@pytest.mark.parametrize("name", RECIPES)
def test_every_packaged_recipe_loads_and_says_where_it_ran(name: str) -> None:
    build_recipe(read_recipe(name, []))
    text = (Path(__file__).parents[2] / f"train_codec/recipes/{name}.yaml").read_text()
    assert name.startswith("tiny") or "not run here" in text or "Ran on" in text


def test_depths_follow_their_shares(tmp_path: Path) -> None:
    r = recipe(tmp_path / "run", batch=4000)
    drawn = depths(r, 0, 4)
    shares = [float((drawn == k).float().mean()) for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(shares, [0.075, 0.375, 0.075, 0.475], atol=0.03)
    assert torch.equal(drawn, depths(r, 0, 4))
    assert not torch.equal(drawn, depths(r, 1, 4))
    assert torch.equal(starts(r, 3), starts(r, 3))


def test_recipes_refuse_unknown_keys() -> None:
    with pytest.raises(FormatError, match="command line: unknown key 'learning_rat': did you mean learning_rate"):
        load_recipe("tiny", ["learning_rat=1"])
    with pytest.raises(FormatError, match=r"no recipe 'tyni' \(did you mean tiny\?\)"):
        load_recipe("tyni", [])
    with pytest.raises(FormatError, match="not key=value"):
        load_recipe("tiny", ["steps"])


def test_learning_rate_warms_up_and_falls() -> None:
    r = load_recipe("tiny", ["steps=1000", "warmup_steps=100", "decay_share=0.25"])
    rates = [learning_rate_share(r, s) for s in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[500] == 1.0
    assert rates[-1] < 0.03
    assert all(a <= b for a, b in pairwise(rates[:100]))


def test_a_float_may_be_written_without_a_point() -> None:
    assert load_recipe("tiny", ["learning_rate=1e-3"]).optimizer.learning_rate == 1e-3


@pytest.mark.parametrize(
    "change",
    ["steps=abc", "batch=0", "codebook_sizes=5", "windows=[", "bf16=7", "mel_weight=x", "depths=[2]", "codec=x"],
)
def test_a_wrong_value_is_an_error_that_names_it(change: str) -> None:
    with pytest.raises(FormatError, match=change.partition("=")[0]):
        load_recipe("tiny", [change])


def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path) -> None:
    for text in ("# a\n```\n", "only words"):
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(FormatError, match=r"x\.yaml"):
            load_recipe(str(tmp_path / "x.yaml"), [])


def test_no_warm_up() -> None:
    assert learning_rate_share(load_recipe("tiny", ["warmup_steps=0"]), 0) == 1.0
