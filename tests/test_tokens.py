from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok import Tokens
from codectok.errors import CodeRangeError, FormatError

FINGERPRINT = "0123456789abcdef" * 2


def make(codes: list[list[int]], sizes: tuple[int, ...] | None = None, **changes: object) -> Tokens:
    facts = {"num_samples": 1000, "sample_rate": 16000, "frame_rate": Fraction(25, 2), "fingerprint": FINGERPRINT}
    return Tokens(torch.tensor(codes), codebook_sizes=sizes or (8,) * len(codes), **{**facts, **changes})  # type: ignore[arg-type]


@st.composite
def any_tokens(draw: st.DrawFn) -> Tokens:
    sizes = draw(st.lists(st.sampled_from([1, 2, 3, 5, 1024, 65537, 2**31]), min_size=1, max_size=4))
    frames = draw(st.integers(0, 20))
    # Few values, so that columns repeat.
    codes = [[min(size - 1, draw(st.sampled_from([0, 1, 2**31]))) for _ in range(frames)] for size in sizes]
    tokens = Tokens(
        torch.tensor(codes, dtype=torch.int64).reshape(len(sizes), frames),
        draw(st.integers(0, 2**40)),
        draw(st.integers(1, 192000)),
        draw(st.fractions(min_value=Fraction(1, 1000), max_value=1000, max_denominator=2**40)),
        tuple(sizes),
        draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=40)),
    )
    return tokens.dedup() if draw(st.booleans()) else tokens


@pytest.mark.parametrize(("codes", "where"), [([[0, 8]], "code 8 of codebook 0 at frame 1"), ([[0], [-1]], "code -1")])
def test_a_code_outside_its_codebook_is_named(codes: list[list[int]], where: str) -> None:
    with pytest.raises(CodeRangeError, match=where):
        make(codes)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(FormatError, match=r"expected \[K, T\]"):
        make([[0, 1]], (8, 8))
    with pytest.raises(FormatError, match=r"expected \[K, T\]"):
        Tokens(torch.zeros(3, dtype=torch.int64), 1, 16000, Fraction(25), (8,), FINGERPRINT)
    for durations in ([1], [1, 0], [1, -1], [1, 1, 1]):
        with pytest.raises(FormatError, match="durations"):
            make([[0, 1]], durations=torch.tensor(durations))


def test_figures_are_computed() -> None:
    tokens = make([[0, 1, 1, 1], [5, 2, 2, 3]], (8, 500), num_samples=5000)
    assert (tokens.num_codebooks, tokens.num_frames) == (2, 4)
    assert tokens.duration == 5000 / 16000
    assert tokens.bitrate == pytest.approx(12.5 * (3 + math.log2(500)) / 1000)
    assert tokens.token_rate == 8 / tokens.duration
    short = tokens.dedup()
    assert (short.codes.shape[1], short.num_frames) == (3, 4)
    assert short.token_rate == 6 / tokens.duration
    assert make([[]], num_samples=0).token_rate == 0.0


def test_first_keeps_the_first_codebooks() -> None:
    tokens = make([[0, 1], [5, 2], [7, 7]], (2, 8, 9))
    assert tokens.first(3) == tokens
    assert tokens.first(2) == make([[0, 1], [5, 2]], (2, 8))
    for k in (0, 4, -1):
        with pytest.raises(CodeRangeError, match="codebooks asked for"):
            tokens.first(k)


def test_equality_looks_at_everything() -> None:
    tokens = make([[0, 1, 1]])
    assert tokens == make([[0, 1, 1]])
    others = [
        make([[0, 1, 2]]),
        make([[0, 1]]),
        make([[0, 1, 1]], (9,)),
        make([[0, 1, 1]], num_samples=999),
        make([[0, 1, 1]], sample_rate=8000),
        make([[0, 1, 1]], frame_rate=Fraction(25)),
        make([[0, 1, 1]], fingerprint="other"),
        make([[0, 1, 1]], durations=torch.tensor([1, 1, 1])),
        tokens.dedup(),
        "tokens",
    ]
    assert all(tokens != other for other in others)
    with pytest.raises(TypeError, match="unhashable"):
        hash(tokens)


@given(any_tokens())
@settings(deadline=None)
def test_expand_undoes_dedup(tokens: Tokens) -> None:
    plain = tokens.expand()
    short = plain.dedup()
    assert short.expand() == plain
    assert short.dedup() is short
    assert plain.expand() is plain
    assert short.num_frames == plain.num_frames == plain.codes.shape[1]
    assert not (short.codes[:, 1:] == short.codes[:, :-1]).all(0).any()


@given(tokens=any_tokens())
@settings(deadline=None)
def test_save_and_load_give_the_same_tokens(tmp_path_factory: pytest.TempPathFactory, tokens: Tokens) -> None:
    path = tmp_path_factory.mktemp("ctk") / "a.ctk"
    tokens.save(path)
    loaded = Tokens.load(path)
    assert loaded == tokens
    assert loaded.codes.dtype == torch.int64


def test_the_actual_bitrate_is_near_the_nominal(tmp_path: Path) -> None:
    # A minute of 8 codebooks at 12.5 Hz.
    codes = torch.randint(1024, (8, 750))
    tokens = Tokens(codes, 60 * 24000, 24000, Fraction(25, 2), (1024,) * 8, FINGERPRINT)
    tokens.save(tmp_path / "a.ctk")
    actual = (tmp_path / "a.ctk").stat().st_size * 8 / tokens.duration / 1000
    assert tokens.bitrate < actual < tokens.bitrate * 1.02


def test_float_codes_are_refused() -> None:
    with pytest.raises(FormatError, match="not integers"):
        Tokens(torch.full((1, 2), 0.5), 100, 16000, Fraction(50), (4,), "0" * 32)
