"""Only the new rows move; what moves in each stage, and back to a plain model."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from codectok.errors import FormatError
from codectok.llm.training.new_rows import attach_new_rows, detach_new_rows
from codectok.llm.training.settings import TrainSettings, TrainStage
from codectok.llm.training.trainable import moving_parameters, prepare, restore
from tests.llm.tiny_models import FAMILIES, model

pytest.importorskip("transformers")

ROWS = 60
NEW = torch.tensor([*range(20, 25), 30, *range(40, 55)])
SETTINGS = TrainSettings(lora_rank=2)


def step(of: Any, optimizer: torch.optim.Optimizer, seed: int) -> float:
    """New tokens count up, some text among them."""
    ids = NEW[(torch.arange(12) + torch.tensor([[seed], [3 * seed]])) % len(NEW)]
    ids[:, ::4] = torch.randint(0, 20, (2, 3), generator=torch.Generator().manual_seed(seed))
    loss = of(input_ids=ids, labels=ids, use_cache=False).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())


def state(of: Any) -> dict[str, torch.Tensor]:
    return {name: t.clone() for name, t in of.state_dict().items()}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_old_rows_are_bit_equal_after_100_steps(family: str, tied: bool) -> None:
    made = model(family, ROWS, tied=tied)
    before = state(made)
    first = made(input_ids=NEW[None], use_cache=False).logits
    made.requires_grad_(False)
    moving = attach_new_rows(made, NEW)
    assert len(moving) == (1 if tied else 2)
    torch.testing.assert_close(made(input_ids=NEW[None], use_cache=False).logits, first)
    assert [p.shape for p in moving_parameters(made).values()] == [(len(NEW), 16)] * len(moving)
    # The whole model is given to the optimizer: what must not move is no parameter of it.
    optimizer = torch.optim.AdamW(made.parameters(), lr=1e-2, weight_decay=0.5)
    losses = [step(made, optimizer, i) for i in range(100)]
    assert sum(losses[-10:]) < sum(losses[:10])
    detach_new_rows(made)
    after = state(made)
    assert after.keys() == before.keys()
    assert (made.get_input_embeddings().weight is made.get_output_embeddings().weight) is tied
    old = torch.ones(ROWS, dtype=torch.bool)
    old[NEW] = False
    tables = {made.get_input_embeddings().weight.data_ptr(), made.get_output_embeddings().weight.data_ptr()}
    named = {name for name, t in made.state_dict().items() if t.data_ptr() in tables}
    for name, value in before.items():
        if name in named:
            assert torch.equal(after[name][old], value[old])
            assert (after[name][~old] != value[~old]).any(1).all()
        else:
            assert torch.equal(after[name], value)


def test_a_gradient_mask_would_not_do() -> None:
    """Why the rows are a parameter of their own: the check above fails for the usual way."""
    made = model("llama", ROWS, tied=True).requires_grad_(False)
    table = made.get_input_embeddings().weight.requires_grad_(True)
    before = table.detach().clone()
    mask = torch.zeros(ROWS, 1)
    mask[NEW] = 1
    table.register_hook(lambda gradient: gradient * mask)
    optimizer = torch.optim.AdamW([table], lr=1e-2, weight_decay=0.5)
    for i in range(3):
        step(made, optimizer, i)
    assert not torch.equal(table[:20], before[:20])


@pytest.mark.parametrize("trainable", ["new-rows", "lora", "lora+new-rows", "all"])
@pytest.mark.parametrize(("family", "tied"), [("llama", True), ("qwen2", False), ("gpt2", True)])
def test_stages_move_what_they_say(family: str, tied: bool, trainable: str) -> None:
    pytest.importorskip("peft")
    made = model(family, ROWS, tied=tied)
    before = state(made)
    torch.manual_seed(0)
    wrapped = prepare(made, TrainStage(trainable, 5, 1e-2), SETTINGS, NEW)
    optimizer = torch.optim.AdamW(moving_parameters(wrapped).values(), lr=1e-2, weight_decay=0.1)
    for i in range(5):
        step(wrapped, optimizer, i)
    ids = torch.arange(10)[None]
    trained = wrapped.eval()(input_ids=ids, use_cache=False).logits
    plain = restore(wrapped).eval()
    assert plain is made
    assert plain.config.tie_word_embeddings is tied
    torch.testing.assert_close(plain(input_ids=ids, use_cache=False).logits, trained, rtol=1e-4, atol=1e-4)
    after = state(plain)
    assert after.keys() == before.keys()
    assert not any(p.requires_grad for p in plain.parameters())
    moved = {name for name in before if not torch.equal(after[name], before[name])}
    inside = {name for name in moved if "embed_tokens" not in name and "wte" not in name and "lm_head" not in name}
    table = plain.get_input_embeddings().weight
    assert bool(inside) is (trainable != "new-rows")
    assert (moved > inside) is (trainable != "lora")
    if trainable != "all":
        old = torch.ones(ROWS, dtype=torch.bool)
        old[NEW] = False
        name = next(n for n in before if "embed_tokens" in n or "wte" in n)
        assert torch.equal(table[old], before[name][old])


def test_adapter() -> None:
    made = model("llama", ROWS, tied=True)
    with pytest.raises(FormatError, match="no module named adapter"):
        prepare(made, TrainStage("adapter", 1, 1e-3), SETTINGS, NEW)
    made.projector = torch.nn.Linear(3, 16)
    assert set(moving_parameters(prepare(made, TrainStage("adapter", 1, 1e-3), SETTINGS, NEW))) == {
        "projector.weight",
        "projector.bias",
    }
