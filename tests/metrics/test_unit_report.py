"""The report's figures, by hand and against their meaning."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from codectok.metrics import MetricError
from codectok.metrics.unit_report import phone_scores, usage
from codectok.metrics.units import contingency, pnmi


def test_usage_by_hand() -> None:
    found = usage([np.array([0, 0, 1, 1]), np.array([3, 3, 3, 1])], 8, Fraction(50), seconds=0.16)
    assert (found.size, found.used, found.used_share, found.frames, found.clips) == (8, 3, 3 / 8, 8, 2)
    bits = -(0.25 * np.log2(0.25) + 2 * 0.375 * np.log2(0.375))
    assert found.entropy == pytest.approx(bits)
    assert found.perplexity == pytest.approx(2**bits)
    assert (found.bitrate, found.entropy_bitrate) == (pytest.approx(150), pytest.approx(50 * bits))
    assert found.dedup_rate == pytest.approx(4 / 0.16)  # 0 1, 3 1: runs do not reach over clips
    assert found.dedup_entropy_bitrate == pytest.approx(25 * 1.5)
    for units, message in (([], "no frames"), ([np.array([8])], "outside"), ([np.array([-1])], "outside")):
        with pytest.raises(MetricError, match=message):
            usage(units, 8, Fraction(50), 1.0)


def clips(seed: int, units: int, share: float, count: int = 40, frames: int = 60) -> tuple[list, list]:
    """Units that are the label in a share of frames, drawn at random otherwise; a tenth of frames without a label."""
    rng = np.random.default_rng(seed)
    y = [rng.integers(0, 10, frames) for _ in range(count)]
    z = [np.where(rng.random(frames) < share, x, rng.integers(0, units, frames)) for x in y]
    return z, [np.where(rng.random(frames) < 0.1, -1, x) for x in y]


def test_scores_are_of_labelled_frames_only() -> None:
    z, y = clips(0, 12, 0.7)
    found = phone_scores(z, y, resamples=100)
    keep = np.concatenate(y) >= 0
    joined = np.concatenate(z)[keep], np.concatenate(y)[keep]
    assert found.pnmi == pytest.approx(pnmi(contingency(*joined)))
    assert (found.frames, found.clips, found.labels) == (keep.sum(), 40, 10)
    assert found.corrected.low is not None
    assert found.corrected.high is not None
    assert found.corrected.low < found.corrected.mean < found.corrected.high < 1
    assert found == phone_scores(z, y, resamples=100)


def test_units_that_know_nothing_have_nothing_left_when_corrected() -> None:
    z, y = clips(1, 300, 0.0)
    found = phone_scores(z, y, resamples=100)
    assert found.pnmi > 0.25
    assert abs(found.corrected.mean) < 0.02
    assert found.held_out is not None
    assert found.held_out.mean < 0.01


def test_corrected_and_held_out_agree_where_there_is_much() -> None:
    z, y = clips(2, 10, 0.6, count=60, frames=400)
    found = phone_scores(z, y, resamples=100)
    assert found.held_out is not None
    assert found.corrected.mean == pytest.approx(found.pnmi, abs=0.005)
    assert found.held_out.mean == pytest.approx(found.pnmi, abs=0.01)
    assert found.held_out.mean < found.pnmi


def test_held_out_pnmi_holds_out_whole_clips() -> None:
    """Units of which each clip has its own tell nothing of another clip's labels."""
    _, y = clips(3, 10, 0.0)
    z = [10 * i + x.clip(0) for i, x in enumerate(y)]
    found = phone_scores(z, y, resamples=20)
    assert found.pnmi == pytest.approx(1)
    assert found.held_out is not None
    assert found.held_out.mean < 0.01


def test_one_clip_has_no_interval_and_no_labels_is_an_error() -> None:
    found = phone_scores([np.array([0, 1, 0])], [np.array([0, 1, 0])])
    assert found.held_out is None
    assert (found.pnmi, found.corrected.low) == (1, None)
    with pytest.raises(MetricError, match="same label"):
        phone_scores([np.array([0, 1])], [np.array([1, 1])])
    with pytest.raises(MetricError, match="no frame has a label"):
        phone_scores([np.array([0, 1])], [np.array([-1, -1])])


def test_nothing_is_corrected_where_chance_explains_everything() -> None:
    """A unit for each frame: shuffled, they tell as much."""
    found = phone_scores([np.arange(3), np.arange(3, 6)], [np.array([0, 1, 0]), np.array([1, 1, 0])], resamples=20)
    assert found.chance == pytest.approx(1)
    assert found.corrected is None
    assert found.to_json()["corrected"] is None


def test_draws_of_one_label_are_left_out_of_the_interval() -> None:
    """Clips of one phone each: a quarter of the draws of three have only one, of which there is no PNMI."""
    y = [np.full(40, label) for label in (0, 1, 1)]
    z = [np.where(np.arange(40) < 30, x, 1 - x) for x in y]
    found = phone_scores(z, y, resamples=200)
    assert found.corrected is not None
    assert found.corrected.low is not None
    assert found.corrected.high is not None
    assert np.isfinite([found.corrected.low, found.corrected.high]).all()
