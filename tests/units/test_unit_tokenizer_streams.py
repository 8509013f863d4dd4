"""Unit streams: the search against scikit-learn and slow references, residuals, groups, exact sums, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from codectok import registry
from codectok.codec.gumbel import GumbelVQ
from codectok.errors import CodectokError, CodeRangeError
from codectok.units.kmeans.product import GroupedStream, GumbelStream
from codectok.units.kmeans.stream import BLOCK, Stream
from codectok.units.kmeans.unit_stream import UnitStream


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow(x: Tensor, levels: list[Tensor], mean: Tensor | None, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    """Units by all distances in float64, and each frame's least relative gap between nearest and second nearest."""
    rest = (x.double() - (0 if mean is None else mean.double())) / (1 if scale is None else scale.double())
    codes, gap = [], torch.ones(len(x)).double()
    for c in levels:
        distances = (rest[:, None] - c.double()).square().sum(2)
        best = distances.sort(1).values
        if len(c) > 1:
            gap = gap.minimum((best[:, 1] - best[:, 0]) / best[:, 0].clamp_min(1e-30))
        codes.append(distances.argmin(1))
        rest = rest - c.double()[codes[-1]]
    return torch.stack(codes), gap


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    frames=st.sampled_from([1, 2, 37, BLOCK - 1, BLOCK, BLOCK + 1]),
    dim=st.integers(1, 9),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    offset=st.sampled_from([0.0, 5.0, 300.0]),
    standardised=st.booleans(),
)
def test_search_is_the_slow_one(
    seed: int, frames: int, dim: int, sizes: list[int], offset: float, standardised: bool
) -> None:
    x = normal(seed, frames, dim) * torch.linspace(0.5, 3, dim) + offset
    mean, scale = (offset + normal(seed + 1, dim), torch.linspace(0.4, 4, dim)) if standardised else (None, None)
    levels = [normal(seed + 2 + i, k, dim) * 0.7**i for i, k in enumerate(sizes)]
    if not standardised:
        levels[0] = levels[0] + offset
    stream = UnitStream(0, levels, mean, scale)
    expected, gaps = slow(x, levels, mean, scale)
    found = stream.encode(x)
    assert found.dtype == torch.int64
    clear = gaps > 1e-3
    assert clear.float().mean() > 0.5 or frames < 3
    assert torch.equal(found[:, clear], expected[:, clear])
    total = sum(c[row].double() for c, row in zip(levels, expected, strict=True))
    if scale is not None and mean is not None:
        total = total * scale + mean
    torch.testing.assert_close(stream.vectors(expected).double(), total, atol=1e-5 * (1 + offset), rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_scikit_learn_predicts_the_same(dtype: torch.dtype) -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    # Features as large models have them: a few dimensions far from zero and far wider than the others.
    x = normal(0, 1500, 32)
    x[:, 3] = x[:, 3] * 8 + 60
    x = x.to(dtype)
    model = cluster.KMeans(50, n_init=1, max_iter=5, random_state=0).fit(x.double().numpy())
    stream = UnitStream(0, [torch.from_numpy(model.cluster_centers_)])
    assert np.array_equal(stream.encode(x)[0].numpy(), model.predict(x.double().numpy()))


def test_the_first_of_equals() -> None:
    c = normal(0, 5, 4)
    stream = UnitStream(0, [torch.cat([c, c.flip(0), c])])
    assert stream.encode(c).tolist() == [[0, 1, 2, 3, 4]]


def test_autocast_and_precision_of_the_input_do_not_matter() -> None:
    x, stream = normal(0, 700, 24).half(), UnitStream(0, [normal(1, 60, 24), normal(2, 60, 24) * 0.5])
    expected = stream.encode(x.float())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(stream.encode(x), expected)
    with torch.inference_mode():
        assert torch.equal(stream.encode(x), expected)
    assert torch.equal(stream.encode(x.float().requires_grad_()), expected)


def test_a_stream_made_under_inference_mode_works_outside() -> None:
    with torch.inference_mode():
        stream = UnitStream(0, [normal(0, 5, 3).clone()])
    table = torch.nn.Linear(3, 2)
    table(stream.vectors(stream.encode(normal(1, 7, 3)))).sum().backward()


def streams() -> dict[str, Stream]:
    mean, scale = normal(8, 6), normal(9, 6).abs() + 0.5
    torch.manual_seed(0)
    return {
        "kmeans": UnitStream(0, [normal(0, 40, 6)]),
        "residual": UnitStream(1, [normal(0, 40, 6), normal(1, 9, 6) * 0.5, normal(2, 12, 6) * 0.3], mean, scale),
        "grouped": GroupedStream(0, [normal(0, 30, 4), normal(1, 20, 2)], mean, scale),
        "gumbel": GumbelStream(2, GumbelVQ(6, [30, 20])),
    }


@pytest.mark.parametrize("name", streams())
def test_fewer_codebooks_are_the_first_rows(name: str) -> None:
    stream, x = streams()[name], normal(3, 1100, 6)
    codes = stream.encode(x)
    assert codes.shape == (len(stream.sizes), 1100)
    assert all(len(row.unique()) > 1 for row in codes)
    for k in range(1, len(stream.sizes) + 1):
        assert torch.equal(stream.encode(x, k), codes[:k])
        assert stream.vectors(codes[:k]).shape == (1100, 6)
    assert stream.encode(x[:0]).shape == (len(stream.sizes), 0)


@pytest.mark.parametrize("name", streams())
def test_config_and_tensors_make_it_again(name: str) -> None:
    stream, x = streams()[name], normal(3, 100, 6)
    config = stream.config()
    again = registry.find("unit_streams", config.pop("type")).build(**config, tensors=stream.tensors())
    assert again.config() == stream.config()
    assert torch.equal(again.encode(x), stream.encode(x))
    assert torch.equal(again.vectors(again.encode(x)), stream.vectors(stream.encode(x)))
    assert all(torch.equal(t, again.tensors()[n]) for n, t in stream.tensors().items())
    assert {t.dtype for t in stream.tensors().values()} == {torch.float32}


@pytest.mark.parametrize("name", streams())
def test_features_of_another_kind_are_refused(name: str) -> None:
    stream = streams()[name]
    nan = normal(0, 600, 6)
    nan[555, 1] = float("nan")
    infinite = normal(0, 600, 6)
    infinite[7, 0] = -float("inf")
    for wrong, match in [
        (normal(0, 5, 7), r"\[T, 6\]"),
        (normal(0, 6), r"\[T, 6\]"),
        (torch.zeros(5, 6, dtype=torch.int64), "int64"),
        (nan, "frame 555"),
        (infinite, "frame 7"),
    ]:
        with pytest.raises(CodectokError, match=match):
            stream.encode(wrong)


@pytest.mark.parametrize("name", streams())
def test_codes_of_another_stream_are_refused(name: str) -> None:
    stream = streams()[name]
    top = len(stream.sizes)
    for wrong in (torch.full((1, 3), stream.sizes[0]), torch.full((1, 3), -1), torch.zeros(top + 1, 3).long()):
        with pytest.raises(CodeRangeError):
            stream.vectors(wrong)


def test_groups_are_a_k_means_each() -> None:
    x, mean, scale = normal(3, 300, 6), normal(8, 6), normal(9, 6).abs() + 0.5
    a, b = normal(0, 30, 4), normal(1, 20, 2)
    stream = GroupedStream(0, [a, b], mean, scale)
    codes = stream.encode(x)
    assert torch.equal(codes[:1], UnitStream(0, [a], mean[:4], scale[:4]).encode(x[:, :4]))
    assert torch.equal(codes[1:], UnitStream(0, [b], mean[4:], scale[4:]).encode(x[:, 4:]))
    torch.testing.assert_close(stream.vectors(codes), torch.cat([a[codes[0]], b[codes[1]]], 1) * scale + mean)
    assert not stream.vectors(codes[:1])[:, 4:].any()


def test_a_fitted_gumbel_quantizer_chooses_as_it_does_itself() -> None:
    x, quantizer = normal(3, 900, 6), GumbelVQ(6, [30, 20])
    quantizer.fit(x, seed=0)
    stream = GumbelStream(0, quantizer)
    assert torch.equal(stream.encode(x), quantizer.encode(x[None])[0])
    near = GroupedStream(0, [g.vectors for g in quantizer.groups])
    assert (near.encode(x) == stream.encode(x)).float().mean() > 0.99
    assert torch.equal(stream.vectors(stream.encode(x)), quantizer.decode(stream.encode(x)[None])[0])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((0, []), "shapes"),
        ((0, [torch.zeros(3)]), "shapes"),
        ((0, [torch.zeros(3, 4), torch.zeros(3, 5)]), "one width"),
        ((0, [torch.zeros(0, 4)]), "shapes"),
        ((0, [torch.full((3, 4), float("nan"))]), "NaN"),
        ((0, [torch.zeros(3, 4)], torch.zeros(5)), "mean of shape"),
        ((0, [torch.zeros(3, 4)], None, torch.tensor([1.0, 1, 0, 1])), "0 or less"),
    ],
)
def test_bad_centroids_are_refused(arguments: Any, match: str) -> None:
    with pytest.raises(CodectokError, match=match):
        UnitStream(*arguments)
    if match in ("NaN", "mean of shape", "0 or less"):
        with pytest.raises(CodectokError, match=match):
            GroupedStream(*arguments)
