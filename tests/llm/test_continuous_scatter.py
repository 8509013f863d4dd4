"""Soft tokens land on their placeholders, one for one, or not at all."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok import CodectokError
from codectok.llm.continuous import batch_features, expand_placeholders, scatter_features

HERE = -7


def test_written_out() -> None:
    ids = torch.tensor([[HERE, 5, 6, 7], [5, HERE, HERE, 6]])
    embeds = torch.arange(8.0).view(2, 4, 1).expand(2, 4, 3)
    features = torch.tensor([[[20.0], [99.0]], [[10.0], [11.0]]]).expand(2, 2, 3)
    out = scatter_features(embeds, ids, HERE, features, [1, 2])
    assert out[:, :, 0].tolist() == [[20, 1, 2, 3], [4, 10, 11, 7]]  # 99 is padding, and is nowhere


def test_several_clips_an_item_and_none() -> None:
    ids = torch.tensor([[HERE, 1, HERE, HERE], [1, 1, 1, 1], [1, HERE, 1, 1]])
    features = torch.tensor([[[1.0], [0]], [[2.0], [3]], [[4.0], [0]]])
    out = scatter_features(torch.zeros(3, 4, 1), ids, HERE, features, [1, 2, 1], clips=[2, 0, 1])
    assert out[:, :, 0].tolist() == [[1, 0, 2, 3], [0, 0, 0, 0], [0, 4, 0, 0]]


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_equals_the_slow_reference(data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    length = max(counts) + data.draw(st.integers(0, 3))
    ids = torch.ones(len(counts), max(1, length), dtype=torch.int64)
    for row, n in enumerate(counts):
        ids[row, data.draw(st.permutations(range(length)))[:n] if n else []] = HERE
    embeds, features = torch.randn(*ids.shape, 2), torch.randn(len(counts), max(counts), 2)
    expected = embeds.clone()
    for row in range(len(counts)):
        at = 0
        for place in range(ids.shape[1]):
            if ids[row, place] == HERE:
                expected[row, place] = features[row, at]
                at += 1
    assert torch.equal(scatter_features(embeds, ids, HERE, features, counts), expected)


@pytest.mark.parametrize("lengths", [[2, 2], [1, 2], [1, 1], [2, 1]])
def test_a_mismatch_says_both_counts_and_the_item(lengths: list[int]) -> None:
    ids = torch.tensor([[HERE, HERE, 1], [HERE, HERE, HERE]])  # [1, 2] and [2, 1]: the item at fault comes first
    wrong = 0 if lengths[0] != 2 else 1
    have, want = int((ids[wrong] == HERE).sum()), lengths[wrong]
    with pytest.raises(CodectokError, match=f"item {wrong} has {have} placeholders and {want} soft tokens"):
        scatter_features(torch.zeros(2, 3, 1), ids, HERE, torch.zeros(2, 3, 1), lengths)


def test_sums_that_agree_are_not_enough() -> None:
    ids = torch.tensor([[HERE, 1, 1], [HERE, HERE, HERE]])
    with pytest.raises(CodectokError, match="item 0 has 1 placeholders and 2"):
        scatter_features(torch.zeros(2, 3, 1), ids, HERE, torch.zeros(2, 2, 1), [2, 2])


@pytest.mark.parametrize(
    ("features", "lengths", "clips"),
    [((1, 2, 1), [1], None), ((2, 2, 2), [1, 1], None), ((2, 2, 1), [1, 3], None), ((2, 2, 1), [1, 1], [2, 1]),
     ((2, 2, 1), [1, -1], None), ((2, 2, 1), [1], None)],
)  # fmt: skip
def test_shapes_that_do_not_fit(features: tuple[int, ...], lengths: list[int], clips: list[int] | None) -> None:
    with pytest.raises(CodectokError):
        scatter_features(torch.zeros(2, 3, 1), torch.full((2, 3), HERE), HERE, torch.zeros(features), lengths, clips)


def test_gradient_flows_to_both_and_padding_gets_none() -> None:
    ids = torch.tensor([[1, HERE, HERE]])
    embeds, features = torch.randn(1, 3, 2, requires_grad=True), torch.randn(1, 4, 2, requires_grad=True)
    scatter_features(embeds, ids, HERE, features, [2]).sum().backward()
    assert embeds.grad is not None
    assert features.grad is not None
    assert embeds.grad[0, :, 0].tolist() == [1, 0, 0]
    assert features.grad[0, :, 0].tolist() == [1, 1, 0, 0]


def test_features_take_the_type_of_the_embeddings() -> None:
    out = scatter_features(torch.zeros(1, 1, 2).bfloat16(), torch.tensor([[HERE]]), HERE, torch.ones(1, 1, 2), [1])
    assert out.dtype == torch.bfloat16
    assert bool((out == 1).all())


def test_expand_placeholders() -> None:
    assert expand_placeholders([1, HERE, 2, HERE, 3], HERE, [3, 1]).tolist() == [1, HERE, HERE, HERE, 2, HERE, 3]
    assert expand_placeholders(torch.tensor([HERE, 2]), HERE, [0]).tolist() == [2]
    assert expand_placeholders([1], HERE, []).tolist() == [1]
    with pytest.raises(CodectokError, match=r"1 placeholders .* for 2 clips"):
        expand_placeholders([1, HERE], HERE, [1, 1])
    with pytest.raises(CodectokError, match="0 or more"):
        expand_placeholders([HERE], HERE, [-1])


def test_batch_features() -> None:
    features, lengths = batch_features([torch.ones(2, 3), torch.ones(0, 3), torch.ones(4, 3)])
    assert features.shape == (3, 4, 3)
    assert lengths.tolist() == [2, 0, 4]
    assert features.sum((1, 2)).tolist() == [6, 0, 12]
