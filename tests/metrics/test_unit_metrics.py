"""Unit metrics against scikit-learn and against the formulas as they are written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.metrics.registry import MetricError
from codectok.metrics.units import (
    bootstrap_clips,
    chance_pnmi,
    cluster_purity,
    contingency,
    entropy,
    held_out_information,
    mutual_information,
    phone_purity,
    pnmi,
)

sequences = st.integers(1, 60).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 7), min_size=n, max_size=n), st.lists(st.integers(0, 5), min_size=n, max_size=n)
    )
)


@settings(max_examples=80, deadline=None)
@given(pair=sequences)
def test_mutual_information_is_sklearns(pair: tuple[list[int], list[int]]) -> None:
    oracle = pytest.importorskip("sklearn.metrics")
    units, labels = (np.array(x) for x in pair)
    table = contingency(units, labels)
    found = mutual_information(table)
    assert found * np.log(2) == pytest.approx(oracle.mutual_info_score(units, labels), abs=1e-9)
    cells = oracle.cluster.contingency_matrix(units, labels)
    np.testing.assert_array_equal(table[table.sum(1) > 0][:, table.sum(0) > 0], cells)
    if len(set(labels.tolist())) > 1:
        assert pnmi(table) == pytest.approx(oracle.homogeneity_score(labels, units), abs=1e-9)
        assert 0 <= pnmi(table) <= 1 + 1e-12


@settings(max_examples=60, deadline=None)
@given(pair=sequences)
def test_purities_are_their_formulas(pair: tuple[list[int], list[int]]) -> None:
    units, labels = pair
    frames = list(zip(units, labels, strict=True))
    phone = sum(max(sum(f == (z, y) for f in frames) for y in set(labels)) for z in set(units)) / len(frames)
    cluster = sum(max(sum(f == (z, y) for f in frames) for z in set(units)) for y in set(labels)) / len(frames)
    table = contingency(np.array(units), np.array(labels))
    assert phone_purity(table) == pytest.approx(phone)
    assert cluster_purity(table) == pytest.approx(cluster)


def test_known_values() -> None:
    labels = np.array([0, 0, 1, 1])
    same, split, none = np.array([5, 5, 2, 2]), np.array([0, 1, 2, 3]), np.array([0, 1, 0, 1])
    assert [pnmi(contingency(u, labels)) for u in (same, split, none)] == pytest.approx([1, 1, 0])
    assert [cluster_purity(contingency(u, labels)) for u in (same, split, none)] == [1, 0.5, 0.5]
    assert [phone_purity(contingency(u, labels)) for u in (same, split, none)] == [1, 1, 0.5]
    assert entropy(np.array([1, 1, 2])) == pytest.approx(1.5)


def test_weights_count_frames_more_than_once() -> None:
    units, labels, weights = np.array([0, 1, 1]), np.array([1, 0, 1]), np.array([2, 0, 3])
    repeated = contingency(np.repeat(units, weights), np.repeat(labels, weights))
    np.testing.assert_array_equal(contingency(units, labels, weights), repeated)


def test_chance_is_above_nothing_for_many_units_on_few_frames() -> None:
    rng = np.random.default_rng(0)
    units, labels = rng.integers(0, 500, 2000), rng.integers(0, 40, 2000)
    measured = pnmi(contingency(units, labels))
    assert measured > 0.3
    assert chance_pnmi(units, labels) == pytest.approx(measured, abs=0.02)
    assert chance_pnmi(labels, labels) < 0.15


def test_held_out_information_is_its_formula() -> None:
    rng = np.random.default_rng(0)
    units, labels, folds = rng.integers(0, 6, 200), rng.integers(0, 4, 200), rng.integers(0, 3, 200)
    found = held_out_information(units, labels, folds, smoothing=2.0)
    for i in range(0, 200, 17):
        others = [(u, y) for u, y, f in zip(units, labels, folds, strict=True) if f != folds[i]]
        prior = (sum(y == labels[i] for _, y in others) + 1) / (len(others) + 4)
        met = sum(o == (units[i], labels[i]) for o in others)
        posterior = (met + 2 * prior) / (sum(u == units[i] for u, _ in others) + 2)
        assert found[i] == pytest.approx(np.log2(posterior / prior))
    with pytest.raises(MetricError, match="two folds"):
        held_out_information(units, labels, np.zeros(200, dtype=int))


def test_held_out_information_is_pnmi_where_there_is_enough_and_never_more() -> None:
    rng = np.random.default_rng(0)
    labels, folds = rng.integers(0, 8, 40000), rng.integers(0, 4, 40000)
    units = np.where(rng.random(40000) < 0.6, labels, rng.integers(0, 8, 40000))
    bits = held_out_information(units, labels, folds).mean()
    assert bits == pytest.approx(mutual_information(contingency(units, labels)), abs=0.01)
    many, few = rng.integers(0, 900, 3000), labels[:3000]
    assert pnmi(contingency(many, few)) > 0.2
    assert held_out_information(many, few, folds[:3000]).mean() < 0


def test_a_paired_interval_covers_the_difference_and_is_repeatable() -> None:
    rng = np.random.default_rng(0)
    clip = np.repeat(np.arange(60), 50)
    labels = rng.integers(0, 5, 3000)
    good = np.where(rng.random(3000) < 0.7, labels, rng.integers(0, 5, 3000))
    bad = np.where(rng.random(3000) < 0.3, labels, rng.integers(0, 5, 3000))

    def difference(a: np.ndarray, b: np.ndarray) -> object:
        return bootstrap_clips(
            lambda w: pnmi(contingency(a, labels, w[clip])) - pnmi(contingency(b, labels, w[clip])), 60, resamples=200
        )

    found = difference(good, bad)
    assert found == difference(good, bad)
    assert found.low > 0.1  # type: ignore[attr-defined]
    assert found.low < found.mean < found.high  # type: ignore[attr-defined]
    assert found.n == 60  # type: ignore[attr-defined]
    same = difference(good, good)
    assert (same.mean, same.low, same.high) == (0, 0, 0)  # type: ignore[attr-defined]


def test_the_bootstrap_of_a_mean_mirrors_the_one_of_means() -> None:
    from codectok.metrics import bootstrap_mean

    values = np.random.default_rng(1).normal(size=40)
    ours = bootstrap_clips(lambda w: float(w @ values / w.sum()), 40, resamples=500)
    other = bootstrap_mean(values.tolist(), resamples=500)
    assert other.low is not None
    assert other.high is not None
    mirrored = (other.mean, 2 * other.mean - other.high, 2 * other.mean - other.low)
    assert (ours.mean, ours.low, ours.high) == pytest.approx(mirrored)
    assert bootstrap_clips(lambda w: 1.0, 1).low is None


def test_the_interval_undoes_what_repeated_clips_add() -> None:
    """Codes that know nothing seem to know more in every draw; the interval lies below the measured value instead."""
    rng = np.random.default_rng(0)
    units, labels, clip = rng.integers(0, 300, 3000), rng.integers(0, 20, 3000), np.repeat(np.arange(100), 30)
    found = bootstrap_clips(lambda w: pnmi(contingency(units, labels, w[clip])), 100, resamples=100)
    assert found.high is not None
    assert found.high < found.mean


@pytest.mark.parametrize(
    ("units", "labels", "message"),
    [
        ([], [], "at least one"),
        ([1], [1, 2], "one label"),
        ([-1, 0], [0, 1], "negative"),
        ([0, 1], [0, -1], "negative"),
    ],
)
def test_bad_input_is_refused(units: list[int], labels: list[int], message: str) -> None:
    with pytest.raises(MetricError, match=message):
        contingency(np.array(units), np.array(labels))


def test_no_number_stands_for_a_failure() -> None:
    with pytest.raises(MetricError, match="same label"):
        pnmi(contingency(np.array([0, 1]), np.array([3, 3])))
    with pytest.raises(MetricError, match="no frames"):
        entropy(np.zeros(3))
    with pytest.raises(MetricError, match="at least one clip"):
        bootstrap_clips(lambda w: 0.0, 0)


def test_undefined_draws_are_left_out_and_none_left_is_no_interval() -> None:
    values = np.array([1.0, 2.0, 4.0])
    mean = lambda w: float(w @ values / w.sum())  # noqa: E731
    some = bootstrap_clips(lambda w: mean(w) if w[0] else np.nan, 3, resamples=400)
    rng = np.random.default_rng(0)
    draws = [np.bincount(rng.integers(0, 3, 3), minlength=3) for _ in range(400)]
    low, high = np.quantile([mean(w) for w in draws if w[0]], [0.025, 0.975])
    assert (some.low, some.high) == pytest.approx((2 * some.mean - high, 2 * some.mean - low))
    none = bootstrap_clips(lambda w: 1.0 if (w == 1).all() else np.nan, 30, resamples=5)
    assert (none.mean, none.low, none.high) == (1.0, None, None)
