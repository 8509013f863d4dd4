"""Trains a probe: a short learning-rate sweep on the validation clips, then one full run. Every input gets the same.

Each rate of the budget starts from the same weights and sees the same batches for ``sweep_steps``; the best on the
validation clips is trained anew for ``steps``. Both runs have their own schedule: the rate rises for a tenth of the
steps, then falls to 0 along a half cosine (Loshchilov and Hutter 2017). AdamW, gradients clipped at norm 5. The model
is scored on the validation clips four times, and its best state is what ``fit`` returns (the later one of two equals).

On one thread, the same arguments give the same weights bit for bit.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from codectok.errors import CodectokError

from .batches import Batches, num_frames
from .contract import Budget, Example

Loss = Callable[[nn.Module, list[Example], torch.Generator], Tensor]
"""(model, examples of a batch, source of randomness on the CPU) -> mean loss, one number with a gradient."""
ModelScore = Callable[[nn.Module, Sequence[Example]], float]
"""(model in eval mode, validation examples) -> how good it is; higher is better. Called without gradients."""

CHECKS = 4
"""Times that a run is scored on the validation clips."""
CLIP_NORM = 5.0
WARM_UP = 0.1
WEIGHT_DECAY = 0.01


class TrainingError(CodectokError):
    """A training that cannot give a model: nothing to train on, or the loss is NaN at every rate."""


@dataclass(frozen=True)
class Fitted:
    """A trained probe.

    Attributes:
        model: in eval mode, with its best state.
        rate: learning rate that the sweep chose.
        steps: updates that the returned state has seen (of the final run).
        parameters: values trained.
        score: on the validation clips; NaN where there are none.
        tried: {rate: validation score at the end of its sweep}; empty with one rate.
    """

    model: nn.Module
    rate: float
    steps: int
    parameters: int
    score: float
    tried: Mapping[float, float] = field(default_factory=dict)


def fit(
    build: Callable[[], nn.Module],
    loss: Loss,
    train: Sequence[Example],
    valid: Sequence[Example],
    budget: Budget,
    seed: int,
    score: ModelScore,
    *,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Train a probe.

    Args:
        build: makes the untrained model; called once a run, always after seeding torch with ``seed``.
        loss: see :data:`Loss`.
        train: examples to learn from; those without a frame are left out.
        valid: examples that settle the rate and the state; may be empty with one rate (the last state is kept).
        budget: steps, clips in a batch, rates.
        seed: of weights, batches, dropout and the loss's generator.
        score: see :data:`ModelScore`.
        device: where the model is trained.
        progress: called with (updates made, updates in all).

    Raises:
        TrainingError: no examples, several rates and no validation clips, or the loss is NaN at every rate.
    """
    train = [example for example in train if num_frames(example)]
    valid = [example for example in valid if num_frames(example)]
    rates = budget.rates
    sweeping = len(rates) > 1
    if not train or not rates or budget.steps < 1:
        raise TrainingError(f"{len(train)} training clips, {len(rates)} rates, {budget.steps} steps: give some of each")
    if sweeping and not (valid and budget.sweep_steps > 0):
        raise TrainingError("several learning rates need validation clips and sweep_steps to choose by: give one rate")
    run = _Run(build, loss, train, valid, budget.batch, seed, score, device)
    total = budget.steps + (len(rates) * budget.sweep_steps if sweeping else 0)
    run.report = lambda done: progress(done, total) if progress else None
    tried: dict[float, float] = {}
    if sweeping:
        for rate in rates:
            try:
                tried[rate] = run(rate, budget.sweep_steps, checks=1)[1]
            except TrainingError:
                tried[rate] = -math.inf
        rates = tuple(sorted((r for r in rates if tried[r] > -math.inf), key=lambda r: -tried[r]))
    for rate in rates:
        try:
            model, best, steps = run(rate, budget.steps, checks=CHECKS)
        except TrainingError:
            continue
        count = sum(p.numel() for p in model.parameters() if p.requires_grad)
        return Fitted(model, rate, steps, count, best, tried)
    raise TrainingError(f"the loss is NaN or infinite at every learning rate ({_words(budget.rates)}): try lower ones")


class _Run:
    """One training at one rate."""

    def __init__(
        self,
        build: Callable[[], nn.Module],
        loss: Loss,
        train: Sequence[Example],
        valid: Sequence[Example],
        batch: int,
        seed: int,
        score: ModelScore,
        device: str,
    ) -> None:
        self.build, self.loss, self.train, self.valid = build, loss, train, valid
        self.seed, self.score, self.device = seed, score, device
        self.batches = Batches([num_frames(example) for example in train], batch, seed)
        self.report: Callable[[int], None] = lambda done: None
        self.done = 0

    def __call__(self, rate: float, steps: int, checks: int) -> tuple[nn.Module, float, int]:
        """The best model, its score and the updates it has seen.

        Raises:
            TrainingError: the loss is NaN or infinite.
        """
        devices = [torch.device(self.device)] if self.device.startswith("cuda") else []
        # Weights and dropout draw from torch's own generator: seeded here, and given back as it was.
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self.seed)
            return self._train(rate, steps, checks)

    def _train(self, rate: float, steps: int, checks: int) -> tuple[nn.Module, float, int]:
        model = self.build().to(self.device).train()
        optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=WEIGHT_DECAY, fused=True)
        generator = torch.Generator().manual_seed(self.seed)
        when = {max(1, round(steps * (i + 1) / checks)) for i in range(checks)}
        best, best_step, state = -math.inf, steps, None
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = rate * schedule(step, steps)
            loss = self.loss(model, [self.train[i] for i in self.batches.at(step)], generator)
            if not torch.isfinite(loss):
                raise TrainingError(f"the loss is {loss.item()} at step {step + 1} of {steps}, learning rate {rate:g}")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
            if not torch.isfinite(norm):
                raise TrainingError(f"the gradient is {norm.item()} at step {step + 1}, learning rate {rate:g}")
            optimiser.step()
            self.done += 1
            self.report(self.done)
            if self.valid and step + 1 in when:
                found = self._scored(model)
                if found >= best:
                    best, best_step, state = found, step + 1, copy.deepcopy(model.state_dict())
        if not self.valid:
            return model.eval(), math.nan, steps
        if state is None:
            raise TrainingError(f"the validation score is NaN at learning rate {rate:g}")
        model.load_state_dict(state)
        return model.eval(), best, best_step

    def _scored(self, model: nn.Module) -> float:
        model.eval()
        with torch.no_grad():
            found = float(self.score(model, self.valid))
        model.train()
        return found


def schedule(step: int, steps: int) -> float:
    """Share of the learning rate at a step: rises in a tenth of the steps, then falls along a half cosine."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _words(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in rates)
