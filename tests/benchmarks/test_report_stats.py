"""Intervals, paired tests, correction and ranks against scipy, brute force, and hand computation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from benchmarks.report import stats

NUMBERS = st.floats(-100, 100).map(lambda v: round(v, 3))


@given(st.lists(NUMBERS, min_size=2, max_size=6))
def test_t_interval_is_scipys(values):
    found = stats.t_interval(values)
    spread = scipy_stats.sem(values)
    assert found.mean == pytest.approx(np.mean(values))
    if spread > 1e-9:
        low, high = scipy_stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=spread)
        assert (found.low, found.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))


def test_t_interval_of_three_seeds_by_hand():
    # sd 1, t(0.975, 2) = 4.3027: half width 4.3027 / sqrt(3)
    found = stats.t_interval([1.0, 2.0, 3.0])
    assert found.half_width == pytest.approx(4.302653 / 3**0.5, abs=1e-5)
    alone = stats.t_interval([2.0])
    assert (alone.mean, alone.low, alone.high) == (2.0, None, None)
    with pytest.raises(ValueError, match="at least one"):
        stats.t_interval([])


def _brute_force(data: list[float]) -> float:
    observed = abs(sum(data))
    signs = itertools.product((1, -1), repeat=len(data))
    sums = [abs(sum(s * d for s, d in zip(pattern, data, strict=True))) for pattern in signs]
    return sum(s >= observed - 1e-9 for s in sums) / len(sums)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=8))
def test_sign_flip_is_brute_force_on_few_clips(data):
    # Clips without a difference are left out, which cannot change p.
    assert stats.sign_flip(np.array(data, dtype=float)) == pytest.approx(_brute_force([float(d) for d in data]))


def test_sign_flip_on_many_clips_is_scipys_and_never_zero():
    data = np.random.default_rng(3).normal(0.25, 1, 60)
    exact = scipy_stats.permutation_test((data,), np.mean, permutation_type="samples", n_resamples=20000, rng=1)
    assert stats.sign_flip(data) == pytest.approx(exact.pvalue, abs=0.01)
    assert 0 < stats.sign_flip(np.full(100, 5.0)) < 1e-4
    assert stats.sign_flip(data) == stats.sign_flip(data)


def test_sign_flip_under_the_null_is_uniform():
    rng = np.random.default_rng(0)
    found = [stats.sign_flip(rng.normal(0, 1, 30), draws=200, seed=i) for i in range(200)]
    assert scipy_stats.kstest(found, "uniform").pvalue > 0.01


def test_paired_bootstrap_draws_clips_with_both_systems():
    # All resamples of three clips, gone through: what drawing them tends to.
    first = np.array([[1.0, 4.0], [0.0, 5.0], [3.0, 6.0]])
    second = np.array([[2.0, 4.0], [0.0, 5.0], [3.0, 6.0]])
    draws = [np.array(d) for d in itertools.product(range(3), repeat=3)]
    apart = [first[d, 0].sum() / first[d, 1].sum() - second[d, 0].sum() / second[d, 1].sum() for d in draws]
    difference, low, high, p = stats.paired_bootstrap(first, second)
    assert difference == pytest.approx(4 / 15 - 5 / 15)
    share = sum(a >= 0 for a in apart) / len(apart)  # no draw is above 0, some are 0: the first clip is not in them
    assert p == pytest.approx(2 * share, abs=0.01)
    assert (low, high) == (pytest.approx(min(apart), abs=1e-9), pytest.approx(0.0, abs=1e-9))
    assert stats.paired_bootstrap(first, first)[3] == 1.0


def test_paired_bootstrap_tells_clear_differences():
    rng = np.random.default_rng(0)
    words = rng.integers(3, 12, 80).astype(float)
    worse = np.stack([rng.binomial(words.astype(int), 0.5), words], 1).astype(float)
    better = np.stack([rng.binomial(words.astype(int), 0.2), words], 1).astype(float)
    difference, low, high, p = stats.paired_bootstrap(worse, better)
    assert 0.2 < low < difference < high < 0.4
    assert 0 < p < 1e-3


def test_holm_by_hand():
    # 4 x 0.01, 3 x 0.02, then 2 x 0.03 is carried up to 0.06, and 1 x 0.5
    assert stats.holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert stats.holm([0.9, 0.8]) == [1.0, 1.0]
    assert stats.holm([]) == []


@given(st.lists(st.integers(0, 5), min_size=1, max_size=9))
def test_ranks_are_scipys_average(values):
    assert stats.ranks(values) == pytest.approx(list(scipy_stats.rankdata(values)))
