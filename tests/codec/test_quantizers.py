"""Residual and split quantization: what training relies on, and oracles for what inference computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import MimiConfig
from transformers.models.mimi.modeling_mimi import MimiSplitResidualVectorQuantizer
from vector_quantize_pytorch import ResidualVQ as OracleRVQ
from vector_quantize_pytorch import VectorQuantize

from codectok.codec.rvq import Codebook, ResidualVQ
from codectok.codec.split_rvq import SplitResidualVQ
from codectok.errors import CodeRangeError
from tests.codec.peers import count_ties, levels

DIM = 6
SIZES = [8, 5, 16, 7]
Make = Callable[[], Any]


def _rvq() -> ResidualVQ:
    torch.manual_seed(0)
    return ResidualVQ(DIM, SIZES)


def _split(num_semantic: int = 1, code_dim: int = 4) -> SplitResidualVQ:
    torch.manual_seed(0)
    return SplitResidualVQ(DIM, code_dim, SIZES, num_semantic)


def _latents(batch: int = 3, frames: int = 40, grad: bool = False) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(batch, frames, DIM, requires_grad=grad)


QUANTIZERS = [_rvq, _split, lambda: _split(2)]
either = pytest.mark.parametrize("make", QUANTIZERS, ids=["residual", "split", "split2"])


# -- inference ------------------------------------------------------------------------------------------------------


def test_nearest_codes_equal_the_oracle() -> None:
    codebook = Codebook(50, DIM)
    oracle = VectorQuantize(DIM, codebook_size=50).eval()
    oracle._codebook.embed.data[0] = codebook.vectors
    x = torch.randn(1000, DIM)
    _, expected, _ = oracle(x[None])
    assert count_ties(codebook.search(x)[None], expected, [(x, [codebook.vectors])]) == 0


def test_nearest_codes_far_from_zero() -> None:
    """Latents with a large common offset must not lose the digits that decide."""
    codebook = Codebook(200, DIM)
    codebook.vectors.copy_(300 + torch.randn(200, DIM))
    x = 300 + torch.randn(500, DIM)
    exact = torch.cdist(x.double(), codebook.vectors.double()).argmin(1)
    assert count_ties(codebook.search(x)[None], exact[None], [(x, [codebook.vectors])]) <= 1


def test_search_follows_every_change_of_the_vectors() -> None:
    codebook = Codebook(8, DIM)
    x = torch.randn(30, DIM)
    codebook.search(x)
    codebook.set_vectors(torch.randn(8, DIM), torch.ones(8))
    assert torch.equal(codebook.search(x), torch.cdist(x, codebook.vectors).argmin(1))
    codebook.load_state_dict({"vectors": torch.randn(8, DIM)})
    assert torch.equal(codebook.search(x), torch.cdist(x, codebook.vectors).argmin(1))
    codebook.update(x, codebook.search(x), 0.5)
    assert torch.equal(codebook.search(x), torch.cdist(x, codebook.vectors).argmin(1))


def test_residual_codes_equal_the_oracle() -> None:
    vq = ResidualVQ(DIM, [20] * 5)
    oracle = OracleRVQ(dim=DIM, codebook_size=20, num_quantizers=5).eval()
    for ours, theirs in zip(vq.levels, oracle.layers, strict=True):
        theirs._codebook.embed.data[0] = ours.vectors
    z = _latents(1, 300)
    quantized, expected, _ = oracle(z)
    codes = vq.encode(z)
    assert count_ties(codes[0], expected[0].T, [(z[0], levels(vq))]) == 0
    torch.testing.assert_close(vq.decode(codes), quantized)


@pytest.mark.parametrize("num_semantic", [1, 3])
@torch.no_grad()
def test_split_equals_transformers(num_semantic: int) -> None:
    shape: dict[str, Any] = {"hidden_size": 12, "num_attention_heads": 2, "num_key_value_heads": 2}
    shape |= {"codebook_size": 32, "codebook_dim": 5, "vector_quantization_hidden_dimension": 5}
    config = MimiConfig(**shape, num_quantizers=7, num_semantic_quantizers=num_semantic)
    theirs: Any = MimiSplitResidualVectorQuantizer(config)
    ours: Any = SplitResidualVQ(12, 5, [32] * 7, num_semantic)
    halves = (theirs.semantic_residual_vector_quantizer, theirs.acoustic_residual_vector_quantizer)
    for half, peer in zip((ours.semantic, ours.acoustic), halves, strict=True):
        half.input.weight.copy_(peer.input_proj.weight[..., 0])
        half.output.weight.copy_(peer.output_proj.weight[..., 0])
        for level, layer in zip(half.vq.levels, peer.layers, strict=True):
            layer.codebook.embed_sum.normal_()
            level.vectors.copy_(layer.codebook.embed)
    z = torch.randn(1, 200, 12)
    for count in range(num_semantic, 8):
        expected = theirs.encode(z.mT, count).transpose(0, 1)
        codes = ours.encode(z, count)
        parts = [(half.input(z)[0], levels(half.vq)) for half in (ours.semantic, ours.acoustic)]
        parts[1] = (parts[1][0], parts[1][1][: count - num_semantic])
        assert count_ties(codes[0], expected[0], parts) == 0
        torch.testing.assert_close(ours.decode(codes), theirs.decode(codes).mT)


@either
def test_fewer_codebooks_are_a_prefix(make: Make) -> None:
    vq, z = make(), _latents()
    every = vq.encode(z)
    for count in range(1, len(SIZES) + 1):
        assert torch.equal(vq.encode(z, count), every[:, :count])
    with pytest.raises(CodeRangeError):
        vq.decode(torch.zeros(1, len(SIZES) + 1, 2, dtype=torch.int64))


# -- training -------------------------------------------------------------------------------------------------------


@either
def test_training_pass_equals_encode_then_decode(make: Make) -> None:
    vq, z = make(), _latents()
    result = vq(z)
    assert torch.equal(result.codes, vq.encode(z))
    torch.testing.assert_close(result.quantized, vq.decode(result.codes))


@either
def test_commitment_of_every_level_pulls_the_encoder(make: Make) -> None:
    """The classic mistake leaves a gradient at the first level only."""
    vq = make()
    for k in range(len(SIZES)):
        z = _latents(grad=True)
        (gradient,) = torch.autograd.grad(vq(z).commitment[k], z)
        assert gradient.abs().max() > 1e-4, f"level {k}"


def test_commitment_is_relative_to_the_spread_of_the_latents() -> None:
    vq, z = _rvq(), _latents()
    spread = z.var((0, 1)).mean()
    for k, got in enumerate(vq(z).commitment):
        residual = z - vq.decode(vq.encode(z, k + 1))
        torch.testing.assert_close(got, residual.square().mean() / spread)


def test_straight_through_gradient_is_one() -> None:
    z = _latents(grad=True)
    (gradient,) = torch.autograd.grad(_rvq()(z).quantized.sum(), z)
    assert torch.equal(gradient, torch.ones_like(z))


def test_split_gradient_goes_through_its_projections() -> None:
    vq: Any = _split()
    z = _latents(grad=True)
    probe = torch.randn(z.shape)
    gradients = torch.autograd.grad((vq(z).quantized * probe).sum(), [z, *vq.parameters()])
    maps = [half.output.weight @ half.input.weight for half in (vq.semantic, vq.acoustic)]
    torch.testing.assert_close(gradients[0], probe @ (maps[0] + maps[1]))
    assert all(g.abs().max() > 0 for g in gradients)


@either
def test_codebooks_move_only_on_request(make: Make) -> None:
    vq, z = make().train(), _latents()
    before = {name: tensor.clone() for name, tensor in vq.named_buffers()}
    vq(z)
    assert all(torch.equal(tensor, before[name]) for name, tensor in vq.named_buffers())
    vq(z, update_decay=0.9)
    assert all(not torch.equal(tensor, before[name]) for name, tensor in vq.named_buffers())


def test_moving_averages_are_those_of_sum_and_count() -> None:
    codebook = Codebook(2, 1)
    codebook.set_vectors(torch.tensor([[0.0], [10.0]]), torch.tensor([4.0, 4.0]))
    codebook.update(torch.tensor([[1.0], [3.0]]), torch.tensor([0, 0]), decay=0.5)
    torch.testing.assert_close(codebook.counts, torch.tensor([3.0, 2.0]))
    torch.testing.assert_close(codebook.vectors, torch.tensor([[2.0 / 3.0], [10.0]]))


@either
@settings(max_examples=20, deadline=None)
@given(depths=st.lists(st.integers(1, len(SIZES)), min_size=3, max_size=3))
def test_quantizer_dropout_is_per_item(make: Make, depths: list[int]) -> None:
    vq, z = make(), _latents()
    depth = torch.tensor(depths)
    result = vq(z, depth)
    for i, d in enumerate(depths):
        assert torch.equal(result.codes[i, :d], vq.encode(z[i : i + 1], d)[0])
        assert (result.codes[i, d:] == -1).all()
        torch.testing.assert_close(result.quantized[i : i + 1], vq.decode(vq.encode(z[i : i + 1], d)))
    only = [vq(z, len(SIZES) * torch.eye(len(z), dtype=torch.int64)[i]).commitment for i in range(len(z))]
    for k in range(len(SIZES)):
        users = [only[i][k] for i, d in enumerate(depths) if d > k]
        expected = torch.stack(users).mean() if users else torch.tensor(0.0)
        torch.testing.assert_close(result.commitment[k], expected)


def test_dropped_levels_learn_nothing_from_dropped_items() -> None:
    vq = _rvq()
    before = [level.vectors.clone() for level in vq.levels]
    vq(_latents(), torch.tensor([2, 1, 2]), update_decay=0.5)
    moved = [not torch.equal(level.vectors, old) for level, old in zip(vq.levels, before, strict=True)]
    assert moved[:2] == [True, True]
    used = _rvq()
    used(_latents()[[0, 2]], update_decay=0.5)
    torch.testing.assert_close(vq.levels[1].vectors, used.levels[1].vectors)


@either
def test_dead_codes_come_back_and_are_chosen(make: Make) -> None:
    vq, z = make(), _latents()
    first = vq.levels[0] if isinstance(vq, ResidualVQ) else vq.semantic.vq.levels[0]
    frames = (z if isinstance(vq, ResidualVQ) else vq.semantic.input(z)).flatten(0, 1)
    vectors = first.vectors.clone()
    vectors[3] = 1e4
    counts = torch.ones(SIZES[0])
    counts[3] = 0.0
    first.set_vectors(vectors, counts)
    assert not (vq.encode(z)[:, 0] == 3).any()
    revived = vq.revive(z, threshold=0.1, generator=torch.Generator().manual_seed(0))
    assert len(revived) == len(SIZES)
    assert revived[0] == 1
    assert (frames - first.vectors[3]).abs().amax(1).min() < 1e-5, "it must stand on a frame of the batch"
    vq(z, update_decay=0.99)
    assert (vq.encode(z)[:, 0] == 3).any(), "and still be there after an update"


@either
def test_kmeans_start_uses_every_code(make: Make) -> None:
    vq, z = make(), _latents(4, 200)
    error = (vq.decode(vq.encode(z)) - z).square().mean()
    vq.fit(z.flatten(0, 1))
    codes = vq.encode(z)
    assert all(len(codes[:, k].unique()) == size for k, size in enumerate(SIZES))
    if isinstance(vq, ResidualVQ):
        assert (vq.decode(codes) - z).square().mean() < 0.7 * error


def test_low_precision_input_is_quantized_in_float32() -> None:
    vq, z = _rvq(), _latents()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = vq(z)
    assert result.quantized.dtype == torch.float32
    assert torch.equal(result.codes, vq.encode(z))


def test_split_needs_both_kinds() -> None:
    with pytest.raises(ValueError, match="leave some of each kind"):
        SplitResidualVQ(DIM, 4, SIZES, 4)
