"""Stage splits join exactly; the parallel decoding loops against plain autoregression."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from codectok.errors import FormatError
from codectok.llm.patterns import (
    audiolm,
    decode_full,
    decode_leftmost,
    decode_levels,
    join_audiolm,
    join_valle,
    valle,
)
from codectok.llm.patterns.parallel_decoding import sampler


@given(st.integers(1, 32), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_valle_stages_join(k: int, t: int) -> None:
    codes = np.random.default_rng(t).integers(0, 9, (2, k, t))
    stages = valle(codes)
    np.testing.assert_array_equal(join_valle(stages), codes)
    assert torch.equal(join_valle(valle(torch.from_numpy(codes))), torch.from_numpy(codes))
    assert stages[0].condition is None
    for level, stage in enumerate(stages[1:], 1):
        np.testing.assert_array_equal(stage.condition, codes[:, :level])


@given(st.integers(1, 3), st.integers(2, 12), st.integers(0, 30), st.integers(0, 30), st.data())
@settings(max_examples=40, deadline=None)
def test_audiolm_stages_join(ks: int, ka: int, ts: int, ta: int, data: st.DataObject) -> None:
    coarse = data.draw(st.integers(1, ka - 1))
    semantic, acoustic = np.arange(ks * ts).reshape(ks, ts), np.arange(ka * ta).reshape(ka, ta)
    stages = audiolm(semantic, acoustic, coarse)
    assert [s.name for s in stages] == ["semantic", "coarse", "fine"]
    assert stages[2].condition is stages[1].target
    for back in (
        join_audiolm(stages, coarse, ka - coarse, ks),
        join_audiolm(audiolm(torch.from_numpy(semantic), torch.from_numpy(acoustic), coarse), coarse, ka - coarse, ks),
    ):
        np.testing.assert_array_equal(np.asarray(back[0]), semantic)
        np.testing.assert_array_equal(np.asarray(back[1]), acoustic)


def test_audiolm_needs_something_fine() -> None:
    with pytest.raises(FormatError, match="1 to 3"):
        audiolm(np.zeros((1, 2), int), np.zeros((4, 2), int), 4)


def chain(known: Tensor, length: int) -> Tensor:
    """A predictor whose code i + 1 follows from code i: right only next to what is known; elsewhere it says 9."""
    logits = torch.zeros(length, 10)
    logits[:, 9] = 1
    if len(known) < length:
        last = int(known[-1]) if len(known) else 0
        logits[len(known)] = torch.nn.functional.one_hot(torch.tensor((3 * last + 1) % 9), 10)
    return logits


def test_leftmost_spans_go_from_one_pass_to_autoregression() -> None:
    said = [0]
    for _ in range(12):
        said.append((3 * said[-1] + 1) % 9)
    assert decode_leftmost(chain, 12, 12).tolist() == said[1:]
    assert torch.equal(decode_leftmost(chain, 12, 1), decode_full(chain, 12))
    assert decode_leftmost(chain, 12, 50).tolist() == said[1:]
    thirds = decode_leftmost(chain, 12, 3).tolist()
    assert [i for i, code in enumerate(thirds) if code != 9] == [0, 4, 8]  # each span of four begins with what is known
    assert decode_leftmost(chain, 0, 3).tolist() == []
    with pytest.raises(FormatError, match="1 or more"):
        decode_leftmost(chain, 3, 0)


def test_leftmost_calls_the_model_once_a_pass() -> None:
    seen = []

    def predict(known: Tensor, length: int) -> Tensor:
        seen.append(len(known))
        return torch.zeros(length, 4)

    decode_leftmost(predict, 10, 4)
    assert seen == [0, 3, 5, 8]


def test_levels_condition_on_all_below() -> None:
    def predict(codes: Tensor) -> Tensor:
        return torch.nn.functional.one_hot((codes.sum(0) + 1) % 7, 7).float()

    first = torch.tensor([0, 1, 5])
    codes = decode_levels(predict, first, 4)
    for k in range(1, 4):
        assert torch.equal(codes[k], (codes[:k].sum(0) + 1) % 7)
    assert torch.equal(codes[0], first)
    drawn = decode_levels(predict, first, 4, sampler(0.01, torch.Generator().manual_seed(0)))
    assert torch.equal(drawn, codes)
