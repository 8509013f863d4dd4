"""Partitioned quantization: independent residual quantizers side by side."""

from __future__ import annotations

import pytest
import torch

from codectok.codec.partitioned_vq import PartitionedVQ
from codectok.codec.rvq import ResidualVQ
from tests.quantizers.subjects import SIZES, fitted, latents

DIMS, PARTS = [2, 1, 5], [1, 2, 1]


def make() -> PartitionedVQ:
    torch.manual_seed(0)
    return PartitionedVQ(DIMS, PARTS, SIZES)


def test_is_residual_quantizers_of_the_slices() -> None:
    vq = fitted(make)
    z = latents(grad=True)
    depths = torch.tensor([4, 2, 3])
    out = vq(z, depths)
    start = 0
    for (part, view), n in zip(vq.views(), PARTS, strict=True):
        alone = ResidualVQ(view(z).shape[2], SIZES[start : start + n])
        alone.load_state_dict(part.state_dict())
        expected = alone(view(z), depths - start)
        assert torch.equal(out.codes[:, start : start + n], expected.codes)
        assert torch.equal(view(out.quantized), expected.quantized)
        torch.testing.assert_close(out.commitment[start : start + n], expected.commitment)
        start += n


def test_slices_beyond_an_items_depth_are_zero_without_gradient() -> None:
    vq = fitted(make)
    z = latents(grad=True)
    out = vq(z, torch.tensor([1, 3, 4]))
    (gradient,) = torch.autograd.grad((out.quantized * torch.rand(z.shape)).sum(), z)
    for item, width in enumerate([2, 3, 8]):
        for tensor in (out.quantized, gradient):
            assert tensor[item, :, :width].all()
            assert not tensor[item, :, width:].any()


@pytest.mark.parametrize(("dims", "parts"), [([2, 6], [1, 2, 1]), ([2, 1, 5], [1, 2, 2]), ([2, 1, 5], [0, 3, 1])])
def test_parts_that_do_not_fit_say_so(dims: list[int], parts: list[int]) -> None:
    with pytest.raises(ValueError, match="give as many parts as widths"):
        PartitionedVQ(dims, parts, SIZES)
