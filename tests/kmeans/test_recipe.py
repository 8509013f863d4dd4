from __future__ import annotations

from pathlib import Path

import pytest

from codectok.errors import FormatError
from kmeans_units.recipe import load_recipe

RECIPES = sorted(p.stem for p in (Path(__file__).parents[2] / "kmeans_units" / "recipes").glob("*.yaml"))
BASE = ["data=c", "encoder=e", "layer=6"]


@pytest.fixture
def empty(tmp_path: Path) -> str:
    (tmp_path / "r.yaml").write_text("# nothing\n")
    return str(tmp_path / "r.yaml")


@pytest.mark.parametrize("name", RECIPES)
def test_packaged_recipes_need_only_data(name: str) -> None:
    recipe = load_recipe(name, ["data=corpus"])
    assert recipe.data == "corpus"
    assert recipe.layer
    recipe.sample_options()
    recipe.kmeans_options()
    assert recipe.encoder_options()["convention"] == "hf"


def test_the_grids_are_there() -> None:
    for name in ("hubert-large", "wavlm-large"):
        for k in (1000, 2000, 3000):
            recipe = load_recipe(name, ["data=c", f"k={k}", "bpe_vocab_sizes=[4000,6000,8000]"])
            assert (recipe.k, recipe.bpe_vocab_sizes) == ([k], [4000, 6000, 8000])
        assert load_recipe(name, ["data=c", "bpe_vocab_sizes="]).bpe_vocab_sizes == []
    for layer in (6, 9):
        assert load_recipe("hubert-base", ["data=c", f"layer={layer}", "k=500"]).layer == [layer]


def test_types(empty: str) -> None:
    recipe = load_recipe(
        empty, [*BASE, "k=[100, 50]", "layer=[-1, 6]", "hours=1e-1", "standardize=true", "cache=", "centroids=a.km"]
    )
    assert (recipe.k, recipe.layer, recipe.hours, recipe.standardize) == ([100, 50], [-1, 6], 0.1, True)
    assert (recipe.cache, recipe.centroids, recipe.seed) == ("", ["a.km"], 0)
    assert "tail_seconds" not in recipe.encoder_options()
    assert load_recipe(empty, [*BASE, "tail_seconds=2"]).encoder_options()["tail_seconds"] == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("clusters=5", "unknown key 'clusters'"),
        ("k=0", "k is 0"),
        ("k=1.5", "k is 1.5"),
        ("k=[]", "no k"),
        ("k=many", "k is 'many'"),
        ("layer=six", "layer is 'six'"),
        ("layer=", "no layer"),
        ("data=", "no data"),
        ("encoder=", "no encoder"),
        ("hours=-1", "hours is -1"),
        ("hours=nan", "hours is 'nan'"),
        ("hours=inf", "hours is 'inf'"),
        ("hours=.inf", "hours is .inf: give a number of 0 or more"),
        ("memory_gib=0", "memory_gib is 0"),
        ("standardize=1", "standardize is 1"),
        ("seed=true", "seed is true"),
        ("encoder=[a]", r"encoder is \['a'\]"),
        ("centroids=[[a]]", r"centroids.0 is \['a'\]: give text"),
        ("backnd=faiss", "did you mean backend"),
        ("backend=cuml", "faiss or sklearn"),
        ("k", "not key=value"),
        ("k=[1", "not YAML"),
    ],
)
def test_errors_name_the_key(empty: str, override: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        load_recipe(empty, [*BASE, override])


def test_unknown_recipe_and_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="hubert-base, hubert-large"):
        load_recipe("nothing", [])
    (tmp_path / "r.yaml").write_text("- a\n- b\n")
    with pytest.raises(FormatError, match="not a recipe"):
        load_recipe(str(tmp_path / "r.yaml"), [])
