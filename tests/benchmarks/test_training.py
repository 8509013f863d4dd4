"""Training of probes: deterministic, the sweep chooses by validation, batches are a function of seed and step."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from benchmarks.batches import Batches
from benchmarks.contract import Budget, Clip, Example
from benchmarks.training import TrainingError, fit, schedule


def examples(count: int, seed: int = 0) -> list[Example]:
    generator = torch.Generator().manual_seed(seed)
    xs = [torch.randn(3 + i % 4, 2, generator=generator) for i in range(count)]
    return [Example(Clip(f"{seed}-{i}", "", "s", str(int(x.mean() > 0))), x) for i, x in enumerate(xs)]


def loss(model, batch, generator):
    x = torch.stack([e.x.mean(0) for e in batch])
    return nn.functional.cross_entropy(model(x), torch.tensor([int(e.clip.label) for e in batch]))


def score(model, batch):
    x = torch.stack([e.x.mean(0) for e in batch])
    return (model(x).argmax(1) == torch.tensor([int(e.clip.label) for e in batch])).float().mean().item()


def build():
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))


def test_the_same_seed_gives_the_same_weights_and_torchs_generator_is_given_back():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    budget = Budget(steps=12, batch=4, rates=(1e-3, 1e-2), sweep_steps=4)
    first = fit(build, loss, examples(20), examples(8, 1), budget, 3, score)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    again = fit(build, loss, examples(20), examples(8, 1), budget, 3, score)
    other = fit(build, loss, examples(20), examples(8, 1), budget, 4, score)
    assert (first.rate, first.score, first.steps) == (again.rate, again.score, again.steps)
    for (name, a), b in zip(first.model.state_dict().items(), again.model.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert not torch.equal(first.model[0].weight, other.model[0].weight)


def test_every_rate_of_a_sweep_starts_from_the_same_weights_and_sees_the_same_batches():
    starts, seen = [], []

    def noted(model, batch, generator):
        if len(seen) % 3 == 0:
            starts.append(model[0].weight.detach().clone())
        seen.append([e.clip.id for e in batch])
        return loss(model, batch, generator)

    fit(build, noted, examples(20), examples(8, 1), Budget(3, 4, (1e-4, 1e-2), 3), 0, score)
    assert all(torch.equal(starts[0], s) for s in starts)
    assert seen[:3] == seen[3:6] == seen[6:9]


def test_the_sweep_takes_the_rate_that_is_best_on_the_validation_clips():
    found = fit(build, loss, examples(60), examples(30, 1), Budget(60, 8, (1e-6, 3e-2), 30), 0, score)
    assert found.rate == 3e-2
    assert found.tried[3e-2] > found.tried[1e-6]
    assert found.score > 0.9
    assert found.parameters == 2 * 8 + 8 + 8 * 2 + 2


def test_the_best_state_is_kept_and_its_steps_are_told():
    scores = iter([0.1, 0.9, 0.3, 0.2])
    states = []

    def falling(model, batch):
        states.append(model[0].weight.clone())
        return next(scores)

    found = fit(build, loss, examples(20), examples(8, 1), Budget(8, 4), 0, falling)
    assert (found.steps, found.score) == (4, 0.9)
    assert torch.equal(found.model[0].weight, states[1])
    assert not found.model.training


def test_a_loss_that_is_nan_is_a_clear_failure_and_other_rates_go_on():
    def nan(model, batch, generator):
        return loss(model, batch, generator) * math.nan

    with pytest.raises(TrainingError, match=r"every learning rate.*lower"):
        fit(build, nan, examples(20), examples(8, 1), Budget(8, 4), 0, score)

    def nan_at_high_rates(model, batch, generator):
        moved = (model[0].weight - start).abs().max() > 0.5
        return loss(model, batch, generator) * (math.nan if moved else 1.0)

    torch.manual_seed(0)
    start = build()[0].weight.detach().clone()
    budget = Budget(6, 4, (10.0, 1e-3), 4)
    found = fit(build, nan_at_high_rates, examples(20), examples(8, 1), budget, 0, score)
    assert (found.rate, found.tried[10.0]) == (1e-3, -math.inf)


@pytest.mark.parametrize(("train", "valid", "budget"), [(0, 4, Budget(3)), (4, 0, Budget(3, 4, (1e-3, 1e-2), 2))])
def test_what_cannot_be_trained_says_so(train, valid, budget):
    with pytest.raises(TrainingError):
        fit(build, loss, examples(train), examples(valid, 1), budget, 0, score)


def test_without_validation_clips_the_last_state_is_kept():
    found = fit(build, loss, examples(8), [], Budget(5, 4), 0, score)
    assert found.steps == 5
    assert math.isnan(found.score)


def test_progress_counts_sweep_and_training():
    calls = []
    fit(
        build,
        loss,
        examples(8),
        examples(4, 1),
        Budget(5, 4, (1e-3, 1e-2), 2),
        0,
        score,
        progress=lambda *c: calls.append(c),
    )
    assert calls == [(i, 9) for i in range(1, 10)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=90), st.integers(1, 9), st.integers(0, 5))
def test_every_epoch_has_every_clip_once_and_steps_can_be_asked_in_any_order(lengths, size, seed):
    batches = Batches(lengths, size, seed)
    count = batches.per_epoch
    forward = [batches.at(i) for i in range(2 * count)]
    for epoch in (forward[:count], forward[count:]):
        assert sorted(i for batch in epoch for i in batch) == list(range(len(lengths)))
        assert sum(len(batch) < size for batch in epoch) <= 1
    assert [Batches(lengths, size, seed).at(i) for i in reversed(range(2 * count))] == forward[::-1]


def test_batches_hold_clips_of_like_length():
    lengths = torch.randint(10, 1000, (256,), generator=torch.Generator().manual_seed(0)).tolist()
    batches = Batches(lengths, 8, 0)
    padded = sum(8 * max(lengths[i] for i in batches.at(s)) for s in range(32))
    assert padded < 1.25 * sum(lengths)


def test_the_rate_rises_then_falls():
    rates = [schedule(i, 100) for i in range(100)]
    assert rates.index(max(rates)) in (9, 10)
    assert rates[0] == pytest.approx(0.1)
    assert rates[-1] < 0.01
    assert all(schedule(i, 1) == 1 for i in range(1))
