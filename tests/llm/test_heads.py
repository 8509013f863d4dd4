"""Reference models of parallel streams: step by step equals all at once; what they say is complete frames, always."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.llm.generate.parallel_heads import DepthLM, ParallelHeadsLM, generate_streams, stream_loss, target_mask
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

pytest.importorskip("transformers")


def body(dim: int) -> torch.nn.Module:
    from transformers import LlamaConfig, LlamaModel

    shape = {"hidden_size": dim, "intermediate_size": 2 * dim, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaModel(LlamaConfig(vocab_size=2, max_position_embeddings=256, **shape)).eval()


def model(kind: str, streams: int, width: int) -> ParallelHeadsLM:
    torch.manual_seed(0)
    if kind == "depth":
        return DepthLM(body(16), 16, streams, width, body(8), 8).eval()
    return ParallelHeadsLM(body(16), 16, streams, width).eval()


def draw(generator: torch.Generator):  # type: ignore[no-untyped-def]
    return lambda logits: torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]


@pytest.mark.parametrize("kind", ["parallel", "depth"])
def test_forward_equals_step_by_step(kind: str) -> None:
    lm = model(kind, 3, 12)
    steps = torch.randint(0, 12, (2, 3, 7), generator=torch.Generator().manual_seed(1))
    prefix = torch.randn(2, 4, 16, generator=torch.Generator().manual_seed(2))
    for condition in (None, prefix):
        with torch.no_grad():
            whole = lm(steps, condition)
            last, cache = None, None
            for step in range(7):
                state, cache = lm.advance(last, cache, 2, condition)
                last, seen = steps[..., step], []

                def forced(logits: Tensor, step: int = step, seen: list[Tensor] = seen) -> Tensor:
                    seen.append(logits)
                    truth = steps[..., step]
                    return truth.flatten() if kind == "parallel" else truth[:, len(seen) - 1]

                lm.draw(state, torch.ones(2, 3, 12, dtype=torch.bool), forced)
                got = seen[0].unflatten(0, (2, 3)) if kind == "parallel" else torch.stack(seen, 1)
                torch.testing.assert_close(got, whole[:, :, step], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["parallel", "depth"])
def test_nothing_is_seen_before_it_is_said(kind: str) -> None:
    lm = model(kind, 3, 12)
    steps = torch.randint(0, 12, (1, 3, 6))
    other = steps.clone()
    other[0, 1, 3] = (other[0, 1, 3] + 1) % 12
    with torch.no_grad():
        changed = (lm(steps) != lm(other)).any(-1)[0]
    assert not changed[:, :3].any()
    assert changed[:, 4:].all()
    assert changed[:, 3].tolist() == ([False, False, True] if kind == "depth" else [False] * 3)


def test_loss_is_the_weighted_mean_of_streams_over_their_targets() -> None:
    pattern, codes = Delay((0, 1), ends=True), torch.tensor([[[1, 2, 3], [4, 5, 6]]])
    steps, mask = pattern.apply(codes, Fill.after(8)), target_mask(pattern, 3, 2)
    assert mask.tolist() == [[True] * 4 + [False], [False] + [True] * 4]  # the ends of the ramp are learnt
    logits = torch.randn(1, 2, 5, 11)
    loss, each = stream_loss(logits, steps, mask, (3, 1))
    by_hand = []
    for s in range(2):
        places = [i for i in range(5) if mask[s, i]]
        by_hand.append(sum(-logits[0, s, i].log_softmax(-1)[steps[0, s, i]] for i in places) / len(places))
    torch.testing.assert_close(each, torch.stack([torch.as_tensor(x) for x in by_hand]))
    torch.testing.assert_close(loss, torch.as_tensor((3 * by_hand[0] + by_hand[1]) / 4))
    torch.testing.assert_close(stream_loss(logits, steps, mask, (300, 100))[0], loss)
    logits[0, 1, 0] = float("nan")  # a place without a target
    assert torch.isfinite(stream_loss(logits, steps, mask)[0])
    with pytest.raises(FormatError, match="one a stream"):
        stream_loss(logits, steps, mask, (1,))
    with pytest.raises(FormatError, match="nothing to learn"):
        stream_loss(logits, steps, torch.zeros(2, 5, dtype=torch.bool))


@pytest.mark.parametrize("kind", ["parallel", "depth"])
def test_a_model_can_learn_to_copy_its_prefix(kind: str) -> None:
    """Labels are not off by one: after training on two utterances, greedy decoding says each of them and stops."""
    pattern = Delay((0, 1), ends=True)
    codes = torch.tensor([[[1, 2, 3, 4], [5, 6, 7, 0]], [[4, 3, 3, 1], [0, 0, 2, 5]]])
    grammar = StreamGrammar(pattern, (8, 8))
    lm = model(kind, 2, grammar.width).train()
    prefix = torch.eye(16)[:2, None] * 4
    steps, mask = pattern.apply(codes, Fill.after(8)), target_mask(pattern, 4, 2)
    optimizer = torch.optim.AdamW(lm.parameters(), lr=0.02)
    for _ in range(130):
        loss, _ = stream_loss(lm(steps, prefix), steps, mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    said = generate_streams(lm.eval(), grammar, 2, lambda x: x.argmax(-1), 20, prefix)
    assert torch.equal(said, steps)


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
SETTINGS = [(case, kind) for case in CASES for kind in ("parallel", "depth")]


def check(pattern: Pattern, sizes: tuple[int, ...], frames: int | None, kind: str, batch: int, seed: int) -> int:
    """Generate, and prove every sequence to be exactly the arrangement of its codes; the number of sequences."""
    grammar = StreamGrammar(pattern, sizes, num_frames=frames, min_frames=1, max_frames=9)
    lm = model(kind, grammar.streams, grammar.width)
    said = generate_streams(lm, grammar, batch, draw(torch.Generator().manual_seed(seed)), 60)
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


@pytest.mark.parametrize(("case", "kind"), SETTINGS, ids=[f"{c[0]} {k}" for c, k in SETTINGS])
def test_every_generation_is_complete_frames(case: tuple[Pattern, tuple[int, ...], int | None], kind: str) -> None:
    assert check(*case, kind, batch=12, seed=0) == 12


@pytest.mark.slow
def test_a_thousand_generations_are_complete_frames() -> None:
    done = sum(check(*case, kind, batch=40, seed=1) for case, kind in SETTINGS)
    assert done >= 1000


def test_a_generation_without_the_grammar_is_not() -> None:
    """The check can fail: the same model left alone does not say complete frames."""
    lm = model("parallel", 3, 10)
    grammar = StreamGrammar(Delay(ends=True), (5, 6, 7))
    free = torch.ones(4, 3, 10, dtype=torch.bool)
    history = torch.zeros(4, 3, 0, dtype=torch.int64)
    last, cache, wrong = None, None, 0
    with torch.no_grad():
        for _ in range(8):
            state, cache = lm.advance(last, cache, 4)
            last = lm.draw(state, free, draw(torch.Generator().manual_seed(len(history))))
            allowed = grammar.allow(history, 10).gather(-1, last[..., None])
            wrong += int((~allowed).sum())
            history = torch.cat([history, last[..., None]], -1)
    assert wrong > 0


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
