"""Stage splits join exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.errors import FormatError
from codectok.llm.patterns import audiolm, join_audiolm, join_valle, valle


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
