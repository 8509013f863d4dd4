"""Residual and split quantization with moving averages: oracles, and what the conformance suite does not ask."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import MimiConfig
from transformers.models.mimi.modeling_mimi import MimiSplitResidualVectorQuantizer
from vector_quantize_pytorch import ResidualVQ as OracleRVQ
from vector_quantize_pytorch import VectorQuantize

from codectok.codec.codebook import Codebook, draw, kmeans
from codectok.codec.quantizer import mask_of_lengths
from codectok.codec.rvq import ResidualVQ
from codectok.codec.split_rvq import SplitResidualVQ
from tests.codec.peers import count_ties, levels
from tests.quantizers.subjects import DIM, MAKERS, SIZES, latents

# -- search ---------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("made_in", [False, True], ids=["normal", "made in inference mode"])
@pytest.mark.parametrize("used_in", [False, True], ids=["normal", "used in inference mode"])
def test_search_follows_every_change_of_the_vectors(made_in: bool, used_in: bool) -> None:
    with torch.inference_mode(made_in):
        codebook = Codebook(8, DIM)
    x = torch.randn(30, DIM)
    codebook.search(x)

    def follows() -> bool:
        return torch.equal(codebook.search(x), torch.cdist(x, codebook.vectors).argmin(1))

    with torch.inference_mode(used_in):
        assert follows()
        codebook.vectors.copy_(torch.randn(8, DIM))
        assert follows()
        codebook.load_state_dict({"vectors": torch.randn(8, DIM)})
        assert follows()
        codebook.load_state_dict({"vectors": torch.randn(8, DIM)}, assign=True)
        assert follows()
    if not made_in:
        codebook.set_vectors(torch.randn(8, DIM), torch.ones(8))
        assert follows()
        codebook.update(x, codebook.search(x), 0.5)
        assert follows()


def test_tables_are_kept_in_inference_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    folds = []
    fold = Codebook._fold
    monkeypatch.setattr(Codebook, "_fold", lambda self: folds.append(1) or fold(self))
    with torch.inference_mode():
        codebook = Codebook(8, DIM)
        for _ in range(5):
            codebook.search(torch.randn(30, DIM))
    assert len(folds) == 1


def test_residual_codes_equal_the_oracle() -> None:
    vq = ResidualVQ(DIM, [20] * 5)
    oracle = OracleRVQ(dim=DIM, codebook_size=20, num_quantizers=5).eval()
    for ours, theirs in zip(vq.levels, oracle.layers, strict=True):
        theirs._codebook.embed.data[0] = ours.vectors
    z = latents(1, 300)
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


# -- training -------------------------------------------------------------------------------------------------------


def test_commitment_is_relative_to_the_spread_of_the_latents() -> None:
    vq, z = MAKERS["residual"](), latents()
    spread = z.var((0, 1)).mean()
    for k, got in enumerate(vq(z).commitment):
        residual = z - vq.decode(vq.encode(z, k + 1))
        torch.testing.assert_close(got, residual.square().mean() / spread)


def test_straight_through_gradient_is_one_and_the_value_exact() -> None:
    vq, z = MAKERS["residual"](), latents(grad=True)
    out = vq(z)
    assert torch.equal(out.quantized, vq.decode(out.codes))
    (gradient,) = torch.autograd.grad(out.quantized.sum(), z)
    assert torch.equal(gradient, torch.ones_like(z))


@pytest.mark.parametrize("num_semantic", [1, 2])
def test_split_gradient_goes_through_the_projections_in_use(num_semantic: int) -> None:
    torch.manual_seed(0)
    vq: Any = SplitResidualVQ(DIM, 4, SIZES, num_semantic)
    z = latents(grad=True)
    probe = torch.randn(z.shape)
    out = vq(z, torch.tensor([4, 1, num_semantic]))
    gradients = torch.autograd.grad((out.quantized * probe).sum(), [z, *vq.parameters()])
    semantic, acoustic = (half.output.weight @ half.input.weight for half in (vq.semantic, vq.acoustic))
    torch.testing.assert_close(gradients[0][0], probe[0] @ (semantic + acoustic))
    torch.testing.assert_close(gradients[0][1:], probe[1:] @ semantic)
    assert all(g.abs().max() > 0 for g in gradients)


def test_moving_averages_are_those_of_sum_and_count() -> None:
    codebook = Codebook(2, 1)
    codebook.set_vectors(torch.tensor([[0.0], [10.0]]), torch.tensor([4.0, 4.0]))
    codebook.update(torch.tensor([[1.0], [3.0]]), torch.tensor([0, 0]), decay=0.5)
    torch.testing.assert_close(codebook.counts, torch.tensor([3.0, 2.0]))
    torch.testing.assert_close(codebook.vectors, torch.tensor([[2.0 / 3.0], [10.0]]))


def test_moving_averages_equal_the_oracle() -> None:
    vq = ResidualVQ(DIM, [16])
    oracle = VectorQuantize(DIM, codebook_size=16, decay=0.8, eps=1e-9, threshold_ema_dead_code=0).train()
    codebook: Any = oracle._codebook
    for name, value in (("embed", vq.levels[0].vectors), ("embed_avg", vq.levels[0].vectors)):
        getattr(codebook, name).data[0] = value
    codebook.cluster_size.data.fill_(1.0)
    for seed in range(5):
        z = latents(seed=seed)
        oracle(z)
        vq(z, update_decay=0.8)
        torch.testing.assert_close(vq.levels[0].vectors, codebook.embed[0], rtol=1e-4, atol=1e-5)


def test_a_code_unused_for_long_keeps_its_vector() -> None:
    """Sum and count fade alike; their quotient must not fade when both are next to nothing."""
    codebook = Codebook(2, 1)
    codebook.set_vectors(torch.tensor([[0.0], [10.0]]), torch.ones(2))
    for _ in range(3000):
        codebook.update(torch.zeros(4, 1), torch.zeros(4, dtype=torch.int64), 0.95)
    torch.testing.assert_close(codebook.vectors[1], torch.tensor([10.0]), rtol=1e-3, atol=0)


def test_dropped_levels_learn_nothing_from_dropped_items() -> None:
    vq, used = MAKERS["residual"](), MAKERS["residual"]()
    before = [level.vectors.clone() for level in vq.levels]
    vq(latents(), torch.tensor([2, 1, 2]), 0.5)
    moved = [not torch.equal(level.vectors, old) for level, old in zip(vq.levels, before, strict=True)]
    assert moved == [True, True, False, False] or torch.allclose(vq.levels[2].vectors, before[2])
    used(latents()[[0, 2]], update_decay=0.5)
    torch.testing.assert_close(vq.levels[1].vectors, used.levels[1].vectors)


def test_revival_draws_each_frame_once_while_there_are_enough() -> None:
    generator = torch.Generator().manual_seed(0)
    assert len(draw(50, 50, generator).unique()) == 50
    assert draw(3, 50, generator).amax() == 2


def test_kmeans_equals_lloyds_algorithm() -> None:
    x = torch.randn(3000, 3)
    vectors, counts = kmeans(x, 7, 5, torch.Generator().manual_seed(1))
    slow = x[draw(len(x), 7, torch.Generator().manual_seed(1))]
    for _ in range(5):
        index = torch.cdist(x, slow).argmin(1)
        slow = torch.stack([x[index == c].mean(0) for c in range(7)])
    torch.testing.assert_close(vectors, slow)
    assert torch.equal(counts, torch.bincount(index).float())


def test_split_needs_both_kinds() -> None:
    with pytest.raises(ValueError, match="leave some of each kind"):
        SplitResidualVQ(DIM, 4, SIZES, 4)


def test_mask_of_lengths() -> None:
    assert mask_of_lengths(torch.tensor([2, 0]), 3).tolist() == [[True, True, False], [False] * 3]
