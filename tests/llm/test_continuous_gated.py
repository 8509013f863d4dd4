"""Gated cross-attention: a closed gate changes no bit; an open one reads what is visible, and only that."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from codectok import CodectokError
from codectok.llm.continuous import GatedLLM
from tests.llm.tiny_models import model

AUDIO = 5
FAMILIES = ["llama", "qwen2", "gemma", "gpt2"]
IDS = torch.tensor([[1, 7, 9, 4, 3], [2, 2, 8, 5, 6]])


def gated(family: str = "llama", every: int = 1, gate: float | None = None) -> GatedLLM:
    made = GatedLLM(model(family, 30, tied=True), AUDIO, every, heads=2, head_dim=4)
    for name, p in made.blocks.named_parameters():
        if gate is not None and name.endswith("gate"):
            torch.nn.init.constant_(p, gate)
    return made.eval()


def audio(frames: int = 6) -> torch.Tensor:
    return torch.randn(2, frames, AUDIO, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("every", [1, 2])
@torch.no_grad()
def test_gates_at_zero_leave_the_output_bit_equal(family: str, every: int) -> None:
    """Flamingo's promise, for silence and for audio of a million alike."""
    plain = model(family, 30, tied=True)
    made = gated(family, every)
    assert len(made.blocks) == 2 // every
    expected = plain(input_ids=IDS).logits
    for sound in (None, audio(), audio() * 1e6, audio(0)):
        assert torch.equal(made(input_ids=IDS, audio=sound).logits, expected)
    new = made.generate(IDS, audio=audio(), max_new_tokens=4, do_sample=False)
    assert torch.equal(new, plain.generate(IDS, max_new_tokens=4, do_sample=False))


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_an_open_gate_reads_the_audio(family: str) -> None:
    made = gated(family, gate=1.0)
    silent, heard = made(input_ids=IDS).logits, made(input_ids=IDS, audio=audio()).logits
    assert (silent - heard).abs().max() > 1e-3
    assert torch.equal(silent, made.llm(input_ids=IDS).logits)


def test_gates_learn_first_and_the_frozen_model_stays() -> None:
    made = gated()
    made.llm.requires_grad_(False)
    before = {n: p.clone() for n, p in made.llm.named_parameters()}
    optimizer = torch.optim.AdamW(made.blocks.parameters(), lr=1e-2)
    for step in range(2):
        optimizer.zero_grad()
        made(input_ids=IDS, audio=audio(), labels=IDS).loss.backward()
        for name, p in made.blocks.named_parameters():
            # While a gate is shut, only itself gets a gradient.
            assert bool(p.grad.any()) == (step > 0 or name.endswith("gate")), name  # type: ignore[union-attr]
        optimizer.step()
    assert all(torch.equal(p, before[n]) for n, p in made.llm.named_parameters())


@torch.no_grad()
def test_padding_is_not_read() -> None:
    made, sound = gated(gate=1.0), audio(6)
    padded = torch.cat([sound, torch.full((2, 3, AUDIO), float("nan"))], 1)
    expected = made(input_ids=IDS, audio=sound).logits
    assert torch.allclose(made(input_ids=IDS, audio=padded, lengths=[6, 6]).logits, expected, atol=1e-5)
    cut = made(input_ids=IDS, audio=padded, lengths=[6, 0]).logits
    assert torch.allclose(cut[0], expected[0], atol=1e-5)
    no_audio = made.blocks[0](torch.ones(1, 2, 16), sound[:1], torch.zeros(1, 1, 6, dtype=torch.bool))
    assert bool(no_audio.isfinite().all())


@torch.no_grad()
def test_masked_cross_attention() -> None:
    """Text before a clip does not hear it: changing the second clip leaves it as it was."""
    made, sound = gated(gate=1.0), audio(6)
    visible = torch.zeros(2, 5, 6, dtype=torch.bool)
    visible[:, 1:, :3] = True  # the first clip stands at 1, the second at 3; token 0 sees none
    visible[:, 3:, 3:] = True
    changed = sound.clone()
    changed[:, 3:] += 1.0
    a = made(input_ids=IDS, audio=sound, visible=visible).logits
    b = made(input_ids=IDS, audio=changed, visible=visible).logits
    assert torch.equal(a[:, :3], b[:, :3])
    assert bool((a[:, 3:] != b[:, 3:]).any())
    changed[:, :3] += 1.0
    c = made(input_ids=IDS, audio=changed, visible=visible).logits
    assert torch.equal(a[:, :1], c[:, :1])


@pytest.mark.parametrize("cached", [True, False])
@torch.no_grad()
def test_generation_with_and_without_cache(cached: bool) -> None:
    """Greedy generation equals full passes, one a step, with the last row of ``visible`` for what is new."""
    made, sound = gated(gate=2.0), audio(6)
    visible = torch.ones(2, 5, 6, dtype=torch.bool).tril(2)
    ids = IDS
    for step in range(3):
        grown = torch.cat([visible, visible[:, -1:].expand(-1, step, -1)], 1)
        following = made(input_ids=ids, audio=sound, visible=grown).logits[:, -1].argmax(-1)
        ids = torch.cat([ids, following[:, None]], 1)
    options: dict[str, Any] = {"max_new_tokens": 3, "min_new_tokens": 3, "do_sample": False, "eos_token_id": None}
    assert torch.equal(made.generate(IDS, audio=sound, visible=visible, use_cache=cached, **options), ids)


def test_what_does_not_fit_is_said() -> None:
    made = gated()
    with pytest.raises(CodectokError, match="width 4"):
        made(input_ids=IDS, audio=torch.zeros(2, 3, 4))
    with pytest.raises(CodectokError, match="batch of 2 reads audio of 1"):
        made(input_ids=IDS, audio=torch.zeros(1, 3, AUDIO))
    with pytest.raises(CodectokError, match="visible"):
        made(input_ids=IDS, audio=audio(), visible=torch.ones(2, 5, 7, dtype=torch.bool))
    made(input_ids=IDS)  # an error leaves no audio behind
    broken = model("llama", 30, tied=True)
    broken.model.layers = broken.model.layers[:1]
    with pytest.raises(CodectokError, match="no list of its 2 layers"):
        GatedLLM(broken, AUDIO)
