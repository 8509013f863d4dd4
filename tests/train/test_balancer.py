"""The gradient balancer: shares equal weights, one backward, exact across processes, safe in mixed precision."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from codectok.errors import CodectokError, FormatError
from train_codec.adversarial import AdversarialStep
from train_codec.losses import Balancer

WEIGHTS = {"a": 1.0, "b": 3.0}


def quadratics(x: Tensor, big: float = 1e6) -> dict[str, Tensor]:
    """Two losses whose gradients are orthogonal (each looks at half of the samples) and differ in scale by ``big``."""
    half = x.shape[-1] // 2
    return {"a": (x[..., :half] - 1).square().mean(), "b": big * (x[..., half:] + 2).square().mean()}


@settings(max_examples=25, deadline=None)
@given(st.floats(-8, 8), st.floats(0.1, 10), st.floats(0.1, 10), st.integers(1, 5), st.booleans())
def test_gradient_shares_are_the_weights_whatever_the_scales(
    exponent: float, wa: float, wb: float, items: int, per_item: bool
) -> None:
    x = torch.randn(1, 8, generator=torch.Generator().manual_seed(0)).repeat(items, 1).requires_grad_()
    Balancer({"a": wa, "b": wb}, total_norm=2.0, per_item=per_item).backward(quadratics(x, 10**exponent), x)
    assert x.grad is not None
    for part, weight in ((x.grad[:, :4], wa), (x.grad[:, 4:], wb)):
        norm = part.norm(dim=1).sum() if per_item else part.norm()
        assert float(norm) == pytest.approx(2.0 * weight / (wa + wb), rel=1e-4)


def test_by_hand() -> None:
    x = torch.tensor([[0.0, 0.0], [0.0, 0.0]], requires_grad=True)
    # gradients of the batch means: [[3, 4], [0, 0]] (norms 5, 0) and [[0, 0], [0, 8]] (norms 0, 8)
    losses = {"a": 3 * x[0, 0] + 4 * x[0, 1], "b": 8 * x[1, 1]}
    balancer = Balancer(WEIGHTS)
    assert balancer.backward(losses, x) == {"a": pytest.approx(5.0), "b": pytest.approx(8.0)}
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.tensor([[0.25 * 0.6, 0.25 * 0.8], [0.0, 0.75]]))
    assert balancer.scale("a") == pytest.approx(0.25 / 5)


def test_per_item_norm_does_not_depend_on_the_batch_size() -> None:
    one = torch.randn(1, 8)
    x, many = one.clone().requires_grad_(), one.repeat(6, 1).requires_grad_()
    norms, repeated = Balancer(WEIGHTS).backward(quadratics(x), x), Balancer(WEIGHTS).backward(quadratics(many), many)
    assert repeated == pytest.approx(norms, rel=1e-5)
    assert x.grad is not None
    assert many.grad is not None
    torch.testing.assert_close(many.grad.sum(0, keepdim=True), x.grad)


def test_norms_are_averaged_over_steps_with_bias_correction() -> None:
    balancer = Balancer({"a": 1.0}, decay=0.5)
    x = torch.zeros(1, 1, requires_grad=True)
    for slope in (1.0, 4.0, 2.0):
        x.grad = None
        balancer.backward({"a": slope * x.sum()}, x)
    average = (0.25 * 1 + 0.5 * 4 + 2) / (0.25 + 0.5 + 1)
    assert x.grad is not None
    assert float(x.grad) == pytest.approx(2 / average)


def test_an_absent_loss_leaves_the_others_as_they_are() -> None:
    both, alone = torch.randn(2, 8).requires_grad_(), None
    alone = both.detach().clone().requires_grad_()
    Balancer(WEIGHTS).backward(quadratics(both), both)
    balancer = Balancer(WEIGHTS)
    balancer.backward({"a": quadratics(alone)["a"]}, alone)
    assert both.grad is not None
    assert alone.grad is not None
    torch.testing.assert_close(alone.grad[:, :4], both.grad[:, :4])
    assert alone.grad[:, 4:].abs().max() == 0
    assert balancer.state_dict()["counts"] == {"a": 1.0, "b": 0.0}


def test_a_zero_gradient_counts_as_absent() -> None:
    balancer = Balancer({"a": 1.0})
    x = torch.zeros(1, 1, requires_grad=True)
    for slope in [0.0] * 20 + [5.0]:
        x.grad = None
        balancer.backward({"a": slope * x.sum()}, x)
        assert x.grad is not None
        assert float(x.grad) == pytest.approx(float(slope > 0))  # no jump after a pause, no 0/0 before


class Model(nn.Module):
    """A generator with a side term, in one forward."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.forwards = 0

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.forwards += 1
        hidden = self.layer(x)
        return hidden.tanh(), hidden.square().mean()


def gradients(model: nn.Module) -> list[Tensor]:
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def test_the_model_is_walked_once_and_gets_balanced_plus_extra() -> None:
    torch.manual_seed(0)
    model, x = Model(), torch.randn(3, 8)
    predicted, side = model(x)
    walked = []
    predicted.grad_fn.register_hook(lambda *_: walked.append(1))  # type: ignore[union-attr]
    balancer = Balancer(WEIGHTS)
    balancer.backward(quadratics(predicted), predicted, 0.3 * side)
    assert len(walked) == 1
    found = gradients(model)
    model.zero_grad()
    predicted, side = model(x)
    losses = quadratics(predicted)
    (balancer.scale("a") * losses["a"] + balancer.scale("b") * losses["b"] + 0.3 * side).backward()
    for a, b in zip(found, gradients(model), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_scale_multiplies_everything() -> None:
    model, x = Model(), torch.randn(3, 8)
    results = []
    for scale in (1.0, 0.25):
        model.zero_grad()
        predicted, side = model(x)
        Balancer(WEIGHTS).backward(quadratics(predicted), predicted, side, scale=scale)
        results.append(gradients(model))
    for whole, quarter in zip(*results, strict=True):
        torch.testing.assert_close(quarter, whole / 4)


def test_losses_may_share_a_graph() -> None:
    x = torch.randn(2, 8, requires_grad=True)
    shared = x.exp()
    Balancer({"a": 1, "b": 1, "c": 1}).backward({"c": shared.mean(), "a": shared.square().mean()}, x)
    assert x.grad is not None


def test_grad_scaler_scales_the_model_and_not_the_averages() -> None:
    torch.manual_seed(0)
    model, x = Model(), torch.randn(3, 8)
    predicted, side = model(x)
    plain = Balancer(WEIGHTS)
    plain.backward(quadratics(predicted), predicted, side)
    expected = gradients(model)
    model.zero_grad()
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    scaler, scaled = torch.amp.GradScaler("cpu", init_scale=1024.0), Balancer(WEIGHTS)
    predicted, side = model(x)
    scaled.backward(quadratics(predicted), predicted, side, scaler=scaler)
    torch.testing.assert_close(gradients(model)[0], 1024 * expected[0])
    scaler.unscale_(optimizer)
    torch.testing.assert_close(gradients(model), expected)
    assert scaled.state_dict()["sums"] == pytest.approx(plain.state_dict()["sums"], rel=1e-5)


class HalfGradient(torch.autograd.Function):
    """Identity whose gradient passes through float16, as in a network under autocast."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:  # type: ignore[override]
        return grad.half().float()


def test_an_overflow_under_a_scaler_skips_the_step_and_the_averages() -> None:
    model, x = Model(), torch.randn(3, 8)
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    scaler, balancer = torch.amp.GradScaler("cpu", init_scale=2.0**20), Balancer(WEIGHTS)
    predicted, side = model(x)
    losses = {"a": HalfGradient.apply(predicted).square().sum(), "b": predicted.mean()}
    norms = balancer.backward(losses, predicted, side, scaler=scaler)
    assert not math.isfinite(norms["a"])
    assert balancer.state_dict()["counts"] == {"a": 0.0, "b": 0.0}
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() < 2.0**20
    for p, old in zip(model.parameters(), before, strict=True):
        assert torch.equal(p, old)


def test_a_scaler_saves_small_gradients_from_float16() -> None:
    x = torch.ones(1, 4, requires_grad=True)
    loss = {"a": 1e-9 * HalfGradient.apply(x).sum()}  # 1e-9 is 0 in float16
    scaled = Balancer({"a": 1.0}).backward(loss, x, scaler=torch.amp.GradScaler("cpu", init_scale=2.0**16))
    assert scaled["a"] == pytest.approx(2e-9, rel=1e-2)


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_refused_by_name(value: float, enabled: bool) -> None:
    x = torch.ones(2, 8, requires_grad=True)
    balancer = Balancer(WEIGHTS)
    balancer.backward(quadratics(x), x)
    before, x.grad = balancer.state_dict(), None
    losses = quadratics(x) | {"b": (x * value).sum()}
    with pytest.raises(CodectokError, match=r"loss b is not finite"):
        balancer.backward(losses, x, scaler=torch.amp.GradScaler("cpu", enabled=enabled))
    assert balancer.state_dict() == before
    assert x.grad is None


def test_a_gradient_that_is_not_finite_is_refused_though_the_loss_is() -> None:
    x = torch.zeros(1, 4, requires_grad=True)
    for scaler in (None, torch.amp.GradScaler("cpu", enabled=False)):
        with pytest.raises(CodectokError, match="loss a is not finite"):
            Balancer(WEIGHTS).backward({"a": x.square().sum().sqrt()}, x, scaler=scaler)


def test_bfloat16_waveforms_have_float32_norms() -> None:
    x = torch.zeros(1, 257**2, dtype=torch.bfloat16, requires_grad=True)
    norms = Balancer({"a": 1.0}).backward({"a": x.float().sum()}, x)
    assert norms["a"] == pytest.approx(257.0, rel=1e-6)  # bfloat16 has 256 and 258
    assert x.grad is not None
    assert x.grad.dtype == torch.bfloat16
    assert float(x.grad.float().norm()) == pytest.approx(1.0, rel=1e-2)


def test_what_is_refused() -> None:
    x, other = torch.ones(1, 4, requires_grad=True), torch.ones(1, requires_grad=True)
    balancer = Balancer(WEIGHTS)
    for losses, message in [
        ({"c": x.sum()}, "no weight for loss c"),
        ({}, "no loss"),
        ({"a": other.sum()}, "loss a does not depend"),
        ({"a": torch.ones(())}, "loss a does not depend"),
    ]:
        with pytest.raises(CodectokError, match=message):
            balancer.backward(losses, x)
    with pytest.raises(CodectokError, match="no gradient"):
        balancer.backward({"a": x.sum()}, x.detach())
    for weights in ({}, {"a": -1.0, "b": 2.0}, {"a": 0.0}):
        with pytest.raises(CodectokError, match="loss weights"):
            Balancer(weights)


def test_state_survives_a_weights_only_checkpoint() -> None:
    x = torch.randn(2, 8, requires_grad=True)
    first = Balancer(WEIGHTS)
    first.backward(quadratics(x), x)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = Balancer(WEIGHTS)
    second.load_state_dict(torch.load(file, weights_only=True))
    results = []
    for balancer in (first, second):
        x.grad = None
        balancer.backward(quadratics(x, 50.0), x)
        results.append(x.grad)
    assert torch.equal(results[0], results[1])
    assert first.state_dict() == second.state_dict()
    for state in ({"sums": {"a": 1.0}, "counts": {"a": 1.0}}, {}):
        with pytest.raises(FormatError, match="keep their names"):
            second.load_state_dict(state)


# -- two processes ----------------------------------------------------------------------------------------------------


class Judge(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.logits = nn.Linear(8, 5), nn.Linear(5, 1)

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        h = self.hidden(x).tanh()
        return [[h, self.logits(h)]]


def train(x: Tensor, balancer: Balancer, distributed: bool) -> dict[str, Tensor]:
    """Three adversarial steps on the batch x; the scales and everything trained."""
    torch.manual_seed(0)
    model: nn.Module = Model()
    judge: nn.Module = Judge()
    if distributed:
        model = DistributedDataParallel(model)
        judge = DistributedDataParallel(judge)
    optimizer = torch.optim.SGD([*model.parameters(), *judge.parameters()], 0.1)
    step = AdversarialStep(judge)
    for i in range(3):
        predicted, side = model(x[i])
        optimizer.zero_grad()
        step.discriminator_loss(x[i], predicted).backward()
        losses = quadratics(predicted) | step.generator_losses(x[i], predicted)
        balancer.backward(losses, predicted, 0.1 * side)
        optimizer.step()
    parameters = torch.cat([p.detach().flatten() for p in [*model.parameters(), *judge.parameters()]])
    return {"parameters": parameters, "scales": torch.tensor([balancer.scale(k) for k in balancer.weights])}


NAMES = {"a": 1.0, "b": 2.0, "adversarial": 1.0, "feature": 2.0}


def batches() -> Tensor:
    x = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(7))
    return x * torch.tensor([0.1, 1.0, 3.0, 0.5])[:, None]  # the two halves of the batch differ in level


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    balancers = {per_item: Balancer(NAMES, per_item=per_item) for per_item in (True, False)}  # before init, on purpose
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    mine = batches()[:, 2 * rank : 2 * rank + 2]
    for per_item, balancer in balancers.items():
        torch.save(train(mine, balancer, distributed=True), f"{folder}/{per_item}-{rank}.pt")
    x = torch.ones(1, 8, requires_grad=True)
    losses = quadratics(x) if rank == 0 else {"a": quadratics(x)["a"]}
    try:
        Balancer(WEIGHTS).backward(losses, x)
    except CodectokError as error:
        Path(f"{folder}/split-{rank}.txt").write_text(str(error))
    losses = quadratics(x) | ({"b": (x * math.nan).sum()} if rank == 0 else {})
    try:
        Balancer(WEIGHTS).backward(losses, x)
    except CodectokError as error:
        Path(f"{folder}/nan-{rank}.txt").write_text(str(error))
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)  # gloo's threads may outlive the interpreter, which aborts then


def test_two_processes_equal_one_with_the_joint_batch(tmp_path: Path) -> None:
    mp.spawn(worker, (str(tmp_path),), nprocs=2)
    for per_item in (True, False):
        expected = train(batches(), Balancer(NAMES, per_item=per_item), distributed=False)
        for rank in range(2):
            found = torch.load(tmp_path / f"{per_item}-{rank}.pt", weights_only=True)
            torch.testing.assert_close(found["scales"], expected["scales"], rtol=1e-4, atol=0)
            torch.testing.assert_close(found["parameters"], expected["parameters"], rtol=1e-4, atol=1e-6)
    for rank in range(2):  # both refuse together, so that none waits for the other
        assert "loss b is present on some processes only" in (tmp_path / f"split-{rank}.txt").read_text()
        assert "loss b is not finite" in (tmp_path / f"nan-{rank}.txt").read_text()
