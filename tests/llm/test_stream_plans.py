"""Plans of several streams: every name and JSON form, exact inverses, and what two plans differ in."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codectok.errors import CodectokError, FormatError
from codectok.llm.patterns import StreamInverse
from codectok.llm.patterns.stream_plan import NAMES, StreamPlan, read_plan, same_plan


def plan_of(text: str, sizes: tuple[int, ...], text_ids: int = 0) -> StreamPlan:
    found = read_plan(text, sizes, text_ids)
    assert found is not None
    return found


SPECS = [*NAMES, '{"pattern": "grouped", "group": 2}', '{"pattern": "delay", "heads": "depth"}']


@given(st.sampled_from(SPECS), st.integers(1, 5), st.integers(0, 9), st.sampled_from([0, 7]), st.integers(0, 2**32 - 1))
def test_steps_are_undone_exactly_and_while_they_come(spec: str, k: int, frames: int, text: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    plan = plan_of(spec, tuple(rng.integers(1, 9, k).tolist()), text)
    rows = np.stack([rng.integers(0, n, frames) for n in plan.rows])
    steps = plan.apply(rows)
    assert steps.shape == (len(plan.row_of), plan.pattern.length(frames, len(plan.rows)))
    widths = np.array([plan.rows[row] + 2 for row in plan.row_of])[:, None]
    assert ((steps >= 0) & (steps < widths)).all()
    back = plan.pattern.inverse(steps, len(rows), num_frames=frames, sizes=plan.rows)
    np.testing.assert_array_equal(back, rows)
    stream = StreamInverse(plan.pattern, len(rows), sizes=plan.rows, fill=plan.fill)
    found = np.concatenate([stream.push(steps[:, i : i + 1]).numpy() for i in range(steps.shape[1])], 1)
    np.testing.assert_array_equal(found, rows)
    assert stream.done
    assert StreamPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_first_frame_comes_after_one_step_or_as_many_as_codebooks() -> None:
    for name, wanted in (("depth", 1), ("delay", 4), ("grouped", 1), ("valle", 1)):
        plan = plan_of(name, (8, 8, 8, 8))
        steps = plan.apply(np.ones((len(plan.rows), 9), dtype=np.int64))
        stream = StreamInverse(plan.pattern, len(plan.rows), sizes=plan.rows, fill=plan.fill)
        counts = [stream.push(steps[:, i : i + 1]).shape[1] for i in range(steps.shape[1])]
        assert next(i + 1 for i, n in enumerate(counts) if n) == wanted, name


def test_text_is_a_row_of_its_own_before_the_codebooks() -> None:
    plan = plan_of("delay", (8, 8), 30)
    assert plan.rows == (30, 8, 8)
    assert plan.pattern.draw(2, 3) == "a0 a1 $  _\nb0 b1 $  _\n^  c0 c1 $"
    assert plan_of("valle", (8, 8), 30).rows == (30, 8)
    grouped = plan_of("grouped", (8,), 30)
    assert (grouped.group, grouped.row_of, grouped.place_of) == (3, (0, 1, 0, 1, 0, 1), (0, 0, 1, 1, 2, 2))


def test_one_stream_is_no_plan() -> None:
    assert read_plan("flatten", (8, 8)) is None
    assert read_plan("sections", (8, 8)) is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ('{"pattern": "partial-flatten", "flattening": [0, 1]}', "marks no ends"),
        ('{"pattern": "delay", "delays": [0, 1, 2]}', "3 delays for 2 codebooks"),
        ('{"pattern": "delay", "delays": [0, 1], "heads": "nar"}', "2 delays for 1 codebooks"),
        ('{"pattern": "delay", "tail": "truncate"}', "no room for end marks"),
        ('{"pattern": "delay", "heads": "many"}', "one of parallel, depth, nar"),
        ('{"pattern": "grouped", "group": 0}', "group"),
        ("delays", "delay"),
    ],
)
def test_what_does_not_go_together_is_one_line(spec: str, message: str) -> None:
    with pytest.raises(CodectokError, match=message) as error:
        read_plan(spec, (8, 8))
    assert "\n" not in str(error.value)


def test_what_two_plans_differ_in_is_said() -> None:
    plan = plan_of("delay", (8, 8))
    same_plan(plan, plan_of("delay", (8, 8)), "data", "model")
    for other, message in (
        (None, "data has several streams, model has one"),
        (plan_of("delay", (8,)), "data has 2 codebooks, model has 1"),
        (plan_of("delay", (8, 4)), r"data has codebooks of \[8, 8\] codes, model of \[8, 4\]"),
        (plan_of("depth", (8, 8)), "data is arranged by .*parallel, model by .*depth"),
        (plan_of("delay", (8, 8), 9), "model by .*with a text stream"),
    ):
        with pytest.raises(FormatError, match=message):
            same_plan(plan, other, "data", "model")
