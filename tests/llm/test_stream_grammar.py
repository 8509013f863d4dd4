"""The grammar of several streams: whatever is drawn, what is said are complete frames."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.llm.generate.stream_grammar import StreamGrammar
from codectok.llm.patterns import (
    CoarseFirst,
    Delay,
    Fill,
    Grouped,
    MoshiStreams,
    PartialFlatten,
    Pattern,
    dia,
    musicgen,
    parallel,
)

CASES: list[tuple[Pattern, tuple[int, ...], int | None]] = [
    (parallel(3), (5, 6, 7), 4),
    (Delay((0, 0, 0), ends=True), (5, 6, 7), None),
    (Delay(ends=True), (5, 6, 7), None),
    (Delay((2, 0, 1), lead=1, ends=True), (5, 6, 7), None),
    (musicgen(4, channels=2), (6, 6, 6, 6), 5),
    (dia((0, 3, 4)), (5, 6, 7), None),
    (PartialFlatten((0, 1, 1), (0, 2, 2)), (5, 6, 7), 4),
    (CoarseFirst((0, 1)), (5, 6, 7), 4),
    (CoarseFirst((0, 1), lead=1, ends=True), (5, 6, 7), None),
    (Grouped(3), (5, 6), 4),
    (Grouped(3, ends=True), (5, 6), None),
    (MoshiStreams(2, ends=True).pattern, (9, 5, 6, 5, 6), None),
    (MoshiStreams(2, text_ahead=2, both_sides=False, lead=1, ends=True).pattern, (9, 5, 6), None),
    (MoshiStreams(2, text_ahead=-1, both_sides=False, ends=True).pattern, (9, 5, 6), None),
    (MoshiStreams(2, tail="truncate").pattern, (9, 5, 6, 5, 6), 6),
]


def draw(grammar: StreamGrammar, batch: int, generator: torch.Generator) -> Tensor:
    """Steps [B, S, L], each id drawn among those that are allowed."""
    history = torch.zeros(batch, grammar.streams, 0, dtype=torch.int64)
    while history.shape[2] < 60 and not bool(grammar.finished(history).all()):
        weights = torch.rand(batch, grammar.streams, grammar.width, generator=generator) + 0.1
        step = (weights * grammar.allow(history)).flatten(0, 1).multinomial(1, generator=generator)
        history = torch.cat([history, grammar.settle(history, step.view(batch, -1))[..., None]], -1)
    return history


def check(pattern: Pattern, sizes: tuple[int, ...], frames: int | None, batch: int, seed: int) -> int:
    """Generate, and prove every sequence to be exactly the arrangement of its codes; the number of sequences."""
    grammar = StreamGrammar(pattern, sizes, num_frames=frames, min_frames=1, max_frames=9)
    said = draw(grammar, batch, torch.Generator().manual_seed(seed))
    assert bool(grammar.finished(said).all())
    lengths = grammar.frames(said).tolist()
    for row, count in zip(said, lengths, strict=True):
        steps = row[:, : pattern.length(count, len(sizes))]
        kept = pattern.known_frames(count)
        assert 1 <= count <= 9 if frames is None else count == frames
        codes = pattern.inverse(steps, len(sizes), num_frames=count, sizes=sizes)
        if kept == count:
            assert torch.equal(pattern.apply(codes, grammar.fill), steps)
        stream = grammar.inverse()
        assert torch.equal(stream.push(row), codes[:, :kept])
        assert stream.num_frames == count
    if frames is None:
        assert len(set(lengths)) > 1, "lengths never vary: the end is not free"
    return len(said)


@pytest.mark.parametrize("case", CASES, ids=[str(case) for case in CASES])
def test_every_generation_is_complete_frames(case: tuple[Pattern, tuple[int, ...], int | None]) -> None:
    assert check(*case, batch=12, seed=0) == 12


@pytest.mark.slow
def test_a_thousand_generations_are_complete_frames() -> None:
    assert sum(check(*case, batch=80, seed=1) for case in CASES) >= 1000


def test_a_generation_without_the_grammar_is_not() -> None:
    """The check can fail: ids drawn freely are not complete frames."""
    grammar = StreamGrammar(Delay(ends=True), (5, 6, 7))
    free = torch.randint(0, grammar.width, (4, 3, 8), generator=torch.Generator().manual_seed(0))
    allowed = [grammar.allow(free[..., :i]).gather(-1, free[..., i : i + 1]).all() for i in range(8)]
    assert not all(allowed)


def test_streams_drawn_apart_agree_on_the_end() -> None:
    grammar = StreamGrammar(Delay((0, 0, 1), ends=True), (5, 5, 5))
    history = torch.tensor([[[1, 2], [3, 4], [5, 0]]])  # id 5 is start, 6 end, 7 pad
    allow = grammar.allow(history)
    assert allow[0, 0].tolist() == [True] * 5 + [False, True, False]  # the first stream may end
    assert allow[0, 1].tolist() == [True] * 5 + [False] * 3  # the one beside it follows
    assert grammar.settle(history, torch.tensor([[6, 2, 1]])).tolist() == [[6, 6, 1]]
    assert grammar.settle(history, torch.tensor([[3, 2, 1]])).tolist() == [[3, 2, 1]]
    ended = torch.cat([history, torch.tensor([[[6], [6], [1]]])], -1)
    assert grammar.allow(ended).nonzero()[:, 2].tolist() == [7, 7, 6]
    assert grammar.frames(ended).tolist() == [2]
    assert not grammar.finished(ended).any()


def test_limits_and_fill_are_checked() -> None:
    with pytest.raises(FormatError, match="marks no ends"):
        StreamGrammar(Delay(), (5, 5))
    with pytest.raises(FormatError, match="cannot both hold"):
        StreamGrammar(Delay(ends=True), (5, 5), min_frames=4, max_frames=3)
    with pytest.raises(FormatError, match="code of every codebook"):
        StreamGrammar(Delay(ends=True), (5, 5), Fill.all(0))
