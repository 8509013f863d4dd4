"""Two gloo processes with half a batch each do what one does with the joined batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing

from codectok.codec.ranks import copy_from_first_rank, gather_rows, stack_over_ranks, sum_over_ranks, world_size
from codectok.codec.rvq import moments, variance
from tests.quantizers.subjects import MAKERS
from tests.quantizers.two_ranks import episode, main

Outcome = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """What rank 0 and rank 1 are left with."""
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(main, (2, str(folder)), nprocs=2)
    return [torch.load(Path(folder) / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("name", MAKERS)
def test_two_processes_equal_one(outcomes: list[Outcome], name: str) -> None:
    one = episode(name, 0)
    first, second = (outcome[name] for outcome in outcomes)
    for key in ("fit", "state", "losses", "gradients", "revived"):
        close(first[key], second[key], key, exactly=True)
        close(first[key], one[key], key)
    assert torch.equal(torch.cat([first["codes"], second["codes"]]), one["codes"])
    if one["z gradient"] is not None:
        close(torch.cat([first["z gradient"], second["z gradient"]]), one["z gradient"], "z gradient")
    if sum(one["revived"]) == 0:
        assert name.startswith(("fsq", "gumbel")), "the episode must revive"


def close(a: Any, b: Any, key: str, exactly: bool = False) -> None:
    tolerance = {"rtol": 0.0, "atol": 0.0} if exactly else {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(a, b, **tolerance, msg=lambda m: f"{key}: {m}")


def test_variance_of_batches_joined_from_their_moments() -> None:
    x = 300 + torch.randn(5, 40, 6)
    valid = torch.rand(5, 40) < 0.7
    rows = torch.stack([moments(part, on) for part, on in zip(x.split(2), valid.split(2), strict=True)])
    torch.testing.assert_close(variance(rows), x[valid].var(0).mean())
    assert torch.isfinite(variance(moments(x, torch.zeros_like(valid))[None]))
    assert variance(moments(x[:1, :1], valid[:1, :1] | True)[None]) == 0


def test_collectives_of_one_process_are_nothing() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    assert world_size() == 1
    assert sum_over_ranks([x])[0] is x
    assert gather_rows(x) is x
    (gradient,) = torch.autograd.grad(stack_over_ranks(x[0]).sum(), x)
    assert gradient.sum() == 4
    copy_from_first_rank([x])
