"""UnitTransform: an exact inverse with durations, a right length without, and one line for every wrong pair."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.errors import CodectokError, FingerprintError, FormatError
from codectok.tokens import Tokens
from codectok.transforms.unit_bpe import UnitBPE
from codectok.transforms.unit_transform import RunsToFrames, UnitTransform
from kmeans_units.bpe import train_bpe
from tests.units.test_bpe import MARK, some_tokens, tokens_of

PATTERNS = [("single", (9,)), ("flatten", (5, 4, 6)), ("frame", (5, 4, 6)), ("codebook-major", (5, 4, 6))]


def trained(pattern: str, sizes: tuple[int, ...], dedup: bool) -> UnitBPE:
    many = some_tokens(sizes, count=60)
    return train_bpe(many, sum(sizes) + 25, pattern=pattern, dedup=dedup)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(PATTERNS), st.booleans(), st.booleans(), st.integers(0, 2**32), st.integers(0, 80)
)  # fmt: skip
def test_inverse(pattern: tuple[str, tuple[int, ...]], dedup: bool, merged: bool, seed: int, frames: int) -> None:
    sizes, rng = pattern[1], np.random.default_rng(seed)
    bpe = trained(pattern[0], sizes, dedup) if merged else None
    steps = UnitTransform.of(MARK, sizes, dedup=dedup, bpe=bpe)
    codes = np.repeat([rng.zipf(1.6, frames) % n for n in sizes], rng.integers(1, 4, frames), 1).reshape(len(sizes), -1)
    [(columns, durations)] = steps.apply([codes])
    assert columns.shape[0] == len(steps.sizes)
    assert (durations is not None) == dedup
    assert np.array_equal(steps.invert(columns, durations), codes)
    assert UnitTransform.from_dict(steps.to_dict()) == steps


@pytest.mark.parametrize(("pattern", "sizes"), PATTERNS)
@pytest.mark.parametrize("dedup", [True, False])
def test_a_million_units_come_back(pattern: str, sizes: tuple[int, ...], dedup: bool) -> None:
    """Many utterances and one, with durations."""
    rng = np.random.default_rng(0)
    bpe = trained(pattern, sizes, dedup)
    steps = UnitTransform.of(MARK, sizes, dedup=dedup, bpe=bpe)
    frames = 1_000_000 // len(sizes) // 2
    long = np.repeat([rng.zipf(1.6, frames // 2) % n for n in sizes], rng.integers(1, 4, frames // 2), 1)
    many = [long, *np.split(long, np.arange(500, long.shape[1], 500), axis=1)]
    assert sum(m.size for m in many) > 900_000
    for codes, applied in zip(many, steps.apply(many), strict=True):
        assert np.array_equal(steps.invert(*applied), codes)


def test_without_durations_it_is_lossy_and_the_length_is_right_on_average() -> None:
    bpe = trained("single", (9,), True)
    steps = UnitTransform.of(MARK, (9,), dedup=True, bpe=bpe, durations=False)
    assert steps.lossy
    assert "left out" in str(steps)
    assert not UnitTransform.of(MARK, (9,), dedup=False, durations=False).lossy
    codes = np.concatenate([t.codes.numpy() for t in some_tokens((9,), count=200)], 1)
    [(columns, _)] = steps.apply([codes])
    guessed = steps.invert(columns)
    assert guessed.shape[1] == pytest.approx(codes.shape[1], rel=0.02)
    assert np.array_equal(_runs(guessed), _runs(codes))
    bare = UnitTransform.of(MARK, (9,), dedup=True, durations=False)
    assert np.array_equal(bare.invert(bare.apply([codes])[0].columns), _runs(codes))


def test_guessed_runs_do_not_depend_on_the_pieces() -> None:
    steps = UnitTransform.of(MARK, (9,), dedup=True, bpe=trained("single", (9,), True), durations=False)
    codes = np.random.default_rng(0).integers(0, 9, (1, 300))
    whole, pieces = RunsToFrames(steps).push(codes), RunsToFrames(steps)
    cut = [pieces.push(codes[:, a : a + 7]) for a in range(0, 300, 7)]
    assert np.array_equal(np.concatenate(cut, 1), whole)


def test_wrong_pairs_are_one_line() -> None:
    bpe, other = trained("single", (9,), True), trained("single", (9,), True).truncate(20)
    steps = UnitTransform.of(MARK, (9,), dedup=True, bpe=bpe)
    wrong: list[tuple[type[Exception], str, Callable[[], object]]] = [
        (FingerprintError, "is needed", lambda: steps.attach(other)),
        (FingerprintError, "codectok units bpe", lambda: UnitTransform.of("f" * 32, (9,), dedup=True, bpe=bpe)),
        (CodectokError, "--codebooks 1", lambda: UnitTransform.of(MARK, (9, 4), dedup=True, bpe=bpe)),
        (CodectokError, "add --dedup", lambda: UnitTransform.of(MARK, (9,), dedup=False, bpe=bpe)),
        (FormatError, "bpe.json", lambda: UnitTransform.from_dict(steps.to_dict()).invert(np.zeros((1, 3), int))),
        (FormatError, "2 durations", lambda: steps.invert(np.zeros((1, 3), int), np.ones(2, int))),
    ]
    for kind, text, call in wrong:
        with pytest.raises(kind, match=text) as raised:
            call()
        assert "\n" not in str(raised.value)


def _runs(codes: np.ndarray) -> np.ndarray:
    """One column a run, by Tokens."""
    tokens: Tokens = tokens_of(torch.from_numpy(codes), (9,))
    return tokens.dedup().codes.numpy()
