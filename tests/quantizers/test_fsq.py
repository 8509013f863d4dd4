"""Finite scalar quantization against its oracle, and its finer codebooks against plain arithmetic."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vector_quantize_pytorch import FSQ

from codectok.codec.fsq import FiniteScalarVQ

LEVELS = [[8, 5, 5, 5], [4, 3], [3, 6, 7], [5]]


@pytest.mark.parametrize("levels", LEVELS)
def test_codes_and_values_equal_the_oracle(levels: list[int]) -> None:
    vq, oracle = FiniteScalarVQ(len(levels), levels), FSQ(levels)
    z = 2 * torch.randn(2, 500, len(levels))
    expected, indices = oracle(z)
    assert torch.equal(vq.encode(z)[:, 0], indices.long())
    torch.testing.assert_close(vq(z).quantized, expected)
    torch.testing.assert_close(vq.decode(indices[:, None].long()), expected)


@torch.no_grad()
def test_projected_equals_the_oracle() -> None:
    vq, oracle = FiniteScalarVQ(6, [5, 4]), FSQ([5, 4], dim=6)
    vq.input.load_state_dict(oracle.project_in.state_dict())
    vq.output.load_state_dict(oracle.project_out.state_dict())
    z = torch.randn(1, 300, 6)
    torch.testing.assert_close(vq(z).quantized, oracle(z)[0])


@pytest.mark.parametrize("levels", LEVELS)
def test_every_code_comes_back(levels: list[int]) -> None:
    """Each code stands for values that are quantized to that code, and no code is out of the bound's reach."""
    vq = FiniteScalarVQ(len(levels), levels)
    codes = torch.arange(vq.codebook_sizes[0])[None, None]
    bounded = vq.values(vq._split(codes)).sum(1)
    assert torch.equal((vq.digits(bounded, 1) * vq.places).sum(-1), codes)
    far = torch.full((1, 1, len(levels)), 20.0)
    assert (vq.encode(far) == vq.codebook_sizes[0] - 1).all()
    assert (vq.encode(-far) == 0).all()


@settings(max_examples=50, deadline=None)
@given(
    levels=st.lists(st.integers(2, 9), min_size=1, max_size=4),
    count=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_each_codebook_divides_the_cell_that_is_left(levels: list[int], count: int, seed: int) -> None:
    vq = FiniteScalarVQ(len(levels), levels, count)
    z = 2 * torch.randn(1, 50, len(levels), generator=torch.Generator().manual_seed(seed))
    codes = vq.encode(z)
    radix = torch.tensor(levels)
    for k in range(1, count + 1):
        scaled = vq.decode(codes[:, :k]) * (radix // 2)
        half_cell = 0.5 / radix.double() ** (k - 1)
        assert ((vq.bound(z) - scaled).abs() <= half_cell + 1e-5).all()


def test_gradient_is_that_of_the_bound() -> None:
    vq = FiniteScalarVQ(3, [5, 4, 3], 2)
    z = torch.randn(2, 10, 3, requires_grad=True)
    (got,) = torch.autograd.grad(vq(z).quantized.sum(), z)
    (expected,) = torch.autograd.grad((vq.bound(z) / (vq.radix // 2)).sum(), z)
    torch.testing.assert_close(got, expected)


def test_bad_shapes_are_refused() -> None:
    for levels, count in (([], 1), ([5, 1], 1), ([5], 0)):
        with pytest.raises(ValueError, match="2 values or more"):
            FiniteScalarVQ(4, levels, count)
