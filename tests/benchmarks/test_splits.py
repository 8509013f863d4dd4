"""The rules between splits: every kind of overlap, planted, is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.contract import Clip, Dataset, LeakageError, Mix
from benchmarks.datasets.splits import RULES, check_splits
from codectok.errors import CodectokError


def clip(number: int, speaker: str = "", **more: object) -> Clip:
    return Clip(f"c{number}", f"/d/{number}.wav", speaker or f"s{number}", f"text {number}", f"v{number}", **more)  # type: ignore[arg-type]


def dataset(train: list[Clip], valid: list[Clip], test: list[Clip], *rules: str, **tests: list[Clip]) -> Dataset:
    named = {"test": tuple(test), **{k: tuple(v) for k, v in tests.items()}}
    return Dataset("d", "asr", tuple(train), tuple(valid), named, rules)


ALL_BUT_CLOSED = tuple(rule for rule in RULES if rule not in ("closed-set", "content-disjoint"))


def test_disjoint_splits_pass() -> None:
    check_splits(dataset([clip(1), clip(2)], [clip(3)], [clip(4)], *ALL_BUT_CLOSED))


OVERLAPS = {
    "utterance-disjoint": [
        {"id": "c1"},
        {"path": "/d/1.wav"},
        {"targets": ("/d/1.wav",)},
        {"mix": Mix("speaker", 0.0, other="/d/1.wav")},
        {"mix": Mix("babble", 0.0, other="/d/9.wav\n/d/1.wav")},
    ],
    "speaker-disjoint": [{"speaker": "s1"}, {"speaker": "s7+s1"}, {"speaker": ""}],
    "session-disjoint": [{"session": "v1"}, {"session": ""}],
    "prompt-disjoint": [{"label": "text 1"}, {"label": " Text  1"}],
}


@pytest.mark.parametrize(("rule", "change"), [(rule, c) for rule, changes in OVERLAPS.items() for c in changes])
@pytest.mark.parametrize("where", ["valid", "test", "other", "valid-test"])
def test_planted_overlaps_are_refused_and_named(rule: str, change: dict[str, object], where: str) -> None:
    planted = replace(clip(50), **change)  # type: ignore[arg-type]
    first, rest = ([clip(2)], [clip(1)]) if where == "valid-test" else ([clip(1)], [clip(3)])
    parts = {"valid": rest, "test": [clip(4)], "other": [clip(5)]}
    check_splits(dataset(first, parts["valid"], parts["test"], *ALL_BUT_CLOSED, other=parts["other"]))
    parts["test" if where == "valid-test" else where].append(planted)
    with pytest.raises(LeakageError, match=f"d is not {rule}") as error:
        check_splits(dataset(first, parts["valid"], parts["test"], rule, other=parts["other"]))
    assert planted.id in str(error.value) or planted.path in str(error.value)


def test_a_rule_that_is_not_named_is_not_asserted() -> None:
    check_splits(dataset([clip(1)], [clip(3)], [clip(4, "s1")]))


def test_two_test_sets_may_share_clips() -> None:
    check_splits(dataset([clip(1)], [clip(2)], [clip(4)], *ALL_BUT_CLOSED, other=[clip(4)]))


def test_the_training_list_as_test_list_is_refused() -> None:
    with pytest.raises(LeakageError, match="the id 'c1' is in train"):
        check_splits(dataset([clip(1), clip(2)], [clip(3)], [clip(1), clip(2)]))


def test_an_id_twice_in_one_split_is_refused() -> None:
    with pytest.raises(LeakageError, match="twice in train"):
        check_splits(dataset([clip(1), clip(1)], [clip(3)], [clip(4)]))


def test_closed_set_wants_every_speaker_in_train() -> None:
    check_splits(dataset([clip(1, "a")], [clip(2, "a")], [clip(3, "a")], "closed-set"))
    with pytest.raises(LeakageError, match="speaker 'b' of clip c3 in test"):
        check_splits(dataset([clip(1, "a")], [clip(2, "a")], [clip(3, "b")], "closed-set"))


def test_the_same_audio_under_two_names_is_refused(tmp_path: Path) -> None:
    clips = []
    for i, data in enumerate((b"one", b"two", b"one")):
        (tmp_path / f"{i}.wav").write_bytes(data)
        clips.append(replace(clip(i), path=str(tmp_path / f"{i}.wav")))
    check_splits(dataset(clips[:1], clips[1:2], [], "content-disjoint"))
    with pytest.raises(LeakageError, match="not content-disjoint"):
        check_splits(dataset(clips[:1], clips[1:2], clips[2:], "content-disjoint"))


def test_an_unknown_rule_is_an_error() -> None:
    with pytest.raises(CodectokError, match="'moon-disjoint'"):
        check_splits(dataset([clip(1)], [clip(2)], [clip(3)], "moon-disjoint"))


@given(
    st.floats(0, 100),
    st.one_of(st.none(), st.floats(0.01, 50)),
    st.floats(0, 100),
    st.one_of(st.none(), st.floats(0.01, 50)),
)
def test_stretches_of_one_file_may_touch_but_not_overlap(
    start: float, length: float | None, other: float, other_length: float | None
) -> None:
    a = replace(clip(1), offset=start, duration=length)
    b = replace(clip(2), path=a.path, offset=other, duration=other_length)
    end, other_end = (s + (d if d is not None else 1e9) for s, d in ((start, length), (other, other_length)))
    shared = min(end, other_end) - max(start, other)
    if shared > 1e-3:
        with pytest.raises(LeakageError, match="overlapping in time"):
            check_splits(dataset([a], [clip(3)], [b]))
    elif shared <= 0:
        check_splits(dataset([a], [clip(3)], [b]))
