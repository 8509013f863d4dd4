"""Means, medians and intervals over clips and over their speakers, as tables show them."""

from __future__ import annotations

import numpy as np
import pytest

from codectok.metrics import Interval, MetricError, Spread, bootstrap_mean, summarize
from codectok.metrics.bootstrap import bootstrap_ratio
from codectok.metrics.summary import central, spread, words


def test_errors_of_both_signs_do_not_cancel() -> None:
    found = summarize("level", [-5.0, 5.0, -5.0, 5.0, 0.5])
    assert isinstance(found, Spread)
    assert (found.median, found.within, found.n) == (0.5, 5.0, 5)
    assert (found.low, found.high) == (-5.0, 5.0)
    assert words("level", found) == "+0.5 (90 % within 5.0)"
    assert central(found) == 0.5


def test_nine_clips_of_ten_are_within() -> None:
    errors = np.random.default_rng(0).normal(1.0, 2.0, 1000)
    assert (np.abs(errors) <= spread(errors.tolist()).within).mean() == pytest.approx(0.9, abs=0.002)


def test_other_metrics_have_their_mean_and_interval() -> None:
    values = [1.0, 2.0, 3.0, 4.0]
    found = summarize("pesq", values)
    assert found == bootstrap_mean(values)
    assert words("pesq", found) == f"2.50 [{found.low:.2f}, {found.high:.2f}]"
    assert words("pesq", summarize("pesq", [1.5])) == "1.50"


@pytest.mark.parametrize("values", [[], [float("nan")], [1.0, float("inf")]])
def test_failures_are_no_numbers(values: list[float]) -> None:
    for name in ("level", "pesq"):
        with pytest.raises(MetricError):
            summarize(name, values)


# -- clusters --------------------------------------------------------------------------------------------------------


def test_clips_of_one_speaker_are_drawn_together() -> None:
    rng = np.random.default_rng(1)
    speakers = np.repeat(np.arange(40), 25)
    values = rng.normal(0.0, 1.0, 40)[speakers] + rng.normal(0.0, 0.1, 1000)
    by_clip, by_speaker = bootstrap_mean(values), bootstrap_mean(values, clusters=speakers.tolist())
    assert by_speaker.mean == pytest.approx(by_clip.mean)
    assert by_speaker.n == 1000
    means = np.array([values[speakers == s].mean() for s in range(40)])
    assert by_speaker.half_width == pytest.approx(1.96 * means.std() / np.sqrt(40), rel=0.1)
    assert by_clip.half_width == pytest.approx(1.96 * values.std() / np.sqrt(1000), rel=0.1)  # a fifth: far too sure


def test_a_slow_cluster_bootstrap_agrees() -> None:
    values, speakers = [1.0, 2.0, 10.0, 4.0, 4.5], ["a", "a", "b", "c", "c"]
    groups = [[v for v, s in zip(values, speakers, strict=True) if s == name] for name in "abc"]
    rng = np.random.default_rng(7)
    means = []
    for _ in range(500):
        drawn = [v for i in rng.integers(0, 3, 3) for v in groups[i]]
        means.append(sum(drawn) / len(drawn))
    found = bootstrap_mean(values, clusters=speakers, resamples=500, seed=7)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))
    assert found.mean == pytest.approx(np.mean(values))


def test_every_clip_its_own_speaker_is_the_plain_bootstrap() -> None:
    values = np.random.default_rng(0).normal(size=30).tolist()
    plain, clustered = bootstrap_mean(values), bootstrap_mean(values, clusters=range(30))
    assert (plain.mean, plain.low, plain.high) == pytest.approx((clustered.mean, clustered.low, clustered.high))


def test_one_speaker_has_no_spread_of_speakers() -> None:
    assert bootstrap_mean([1.0, 2.0, 3.0], clusters=["a"] * 3) == Interval(2.0, None, None, 3)


def test_rates_of_a_corpus_cluster_too() -> None:
    found = bootstrap_ratio([1.0, 2.0, 3.0, 4.0], [10.0] * 4, clusters=["a", "a", "b", "b"])
    assert found.mean == pytest.approx(0.25)
    assert (found.low, found.high) == pytest.approx((0.15, 0.35))
    with pytest.raises(MetricError, match="one a clip"):
        bootstrap_ratio([1.0, 2.0], [1.0, 1.0], clusters=["a"])
