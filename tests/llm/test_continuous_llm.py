"""SpeechLLM: soft tokens in any causal model; the projector learns, the frozen model stays."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from codectok import CodectokError
from codectok.llm.continuous import SpeechLLM, build_projector
from tests.llm.tiny_models import WIDTH, model

HERE, IN = 999, 6  # outside the table of 30 rows: the vocabulary need not grow
FAMILIES = ["llama", "qwen2", "gemma", "gpt2"]


def speech_llm(family: str = "llama", name: str = "frame-concat", **options: Any) -> SpeechLLM:
    torch.manual_seed(0)
    options = options or ({"ratio": 3, "hidden": 8} if name == "frame-concat" else {})
    return SpeechLLM(model(family, 30, tied=True), build_projector(name, IN, WIDTH, **options), HERE).eval()


def batch(made: SpeechLLM, lengths: tuple[int, ...] = (7, 4)) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Prompts padded at the start with their mask, and features."""
    torch.manual_seed(1)
    features = torch.randn(len(lengths), max(lengths), IN)
    prompts = [made.prompt([1, HERE, 5, 6], [n]) for n in made.counts(features, lengths)]
    width = max(map(len, prompts))
    ids = torch.stack([torch.nn.functional.pad(p, (width - len(p), 0)) for p in prompts])
    mask = torch.stack([(torch.arange(width) >= width - len(p)).long() for p in prompts])
    return ids, mask, features


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_embeds_are_text_and_projected_features(family: str) -> None:
    made = speech_llm(family)
    ids, mask, features = batch(made)
    embeds = made.embed(ids, features, [7, 4])
    soft, counts = made.projector(features, [7, 4])
    assert counts.tolist() == made.counts(features, [7, 4]) == [3, 2]
    for row in range(2):
        assert torch.equal(embeds[row][ids[row] == HERE], soft[row, : counts[row]])
        text = ids[row][ids[row] != HERE]
        assert torch.equal(embeds[row][ids[row] != HERE], made.llm.get_input_embeddings()(text))
    out = made(ids, features, [7, 4], attention_mask=mask)
    assert torch.equal(out.logits, made.llm(inputs_embeds=embeds, attention_mask=mask).logits)


@pytest.mark.parametrize("family", FAMILIES)
def test_projector_learns_and_frozen_model_stays(family: str) -> None:
    made = speech_llm(family)
    made.llm.requires_grad_(False)
    before = {n: p.clone() for n, p in made.llm.named_parameters()}
    ids, mask, features = batch(made)
    labels = ids.masked_fill(mask == 0, -100)
    optimizer = torch.optim.AdamW(made.projector.parameters(), lr=1e-2)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = made(ids, features, [7, 4], labels=labels, attention_mask=mask).loss
        loss.backward()
        assert all(p.grad is not None and bool(p.grad.any()) for p in made.projector.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(torch.equal(p, before[n]) for n, p in made.llm.named_parameters())


def test_placeholders_are_never_labels_and_row_0_learns_nothing_of_them() -> None:
    made = speech_llm()
    ids, mask, features = batch(made)
    given = ids.clone()  # 999 is no class of the head: left in, it would be an error or a wrong target
    expected = ids.masked_fill(ids == HERE, -100)
    loss = made(ids, features, [7, 4], labels=given, attention_mask=mask).loss
    assert torch.equal(loss, made(ids, features, [7, 4], labels=expected, attention_mask=mask).loss)
    assert torch.equal(given, ids)
    table = made.llm.get_input_embeddings().weight
    made.llm.lm_head.weight = torch.nn.Parameter(table.detach().clone())  # untied: gradient of the input rows alone
    ids[ids == 0] = 1
    made.embed(ids, features, [7, 4]).square().sum().backward()
    assert table.grad is not None
    assert not table.grad[0].any()
    assert bool(table.grad[5].any())


@pytest.mark.parametrize("name", ["frame-concat", "ctc-compressor"])
@torch.no_grad()
def test_generation_equals_full_passes(name: str) -> None:
    made = speech_llm(name=name, **({"labels": 3} if name == "ctc-compressor" else {}))
    ids, _, features = batch(made, (7,))
    steps: dict[str, Any] = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False, "eos_token_id": None}
    new = made.generate(ids, features, **steps)
    assert new.shape == (1, 4)
    grown = ids
    for _ in range(4):
        grown = torch.cat([grown, made(grown, features).logits[:, -1].argmax(-1)[:, None]], 1)
    assert torch.equal(new, grown[:, ids.shape[1] :])


@torch.no_grad()
def test_generation_in_a_batch_equals_single() -> None:
    made = speech_llm()
    ids, mask, features = batch(made)
    steps: dict[str, Any] = {"max_new_tokens": 3, "min_new_tokens": 3, "do_sample": False, "eos_token_id": None}
    together = made.generate(ids, features, [7, 4], mask, **steps)
    for row, n in enumerate([7, 4]):
        alone = made.generate(ids[row : row + 1, mask[row] == 1], features[row : row + 1, :n], **steps)
        assert torch.equal(together[row], alone[0])
    with pytest.raises(CodectokError, match="pad them at the start"):
        made.generate(ids, features, [7, 4], mask.flip(1), **steps)


@torch.no_grad()
def test_several_clips_in_a_prompt() -> None:
    made = speech_llm(name="linear")
    features = torch.randn(2, 3, IN)
    ids = made.prompt([1, HERE, 5, HERE, 6], made.counts(features, [2, 3]))[None]
    out = made(ids, features, [2, 3], clips=[2]).logits
    assert out.shape == (1, 8, 30)
    with pytest.raises(CodectokError, match="item 0 has 5 placeholders and 4 soft tokens"):
        made(ids, features, [2, 2], clips=[2])


@torch.no_grad()
def test_bfloat16_model_with_a_float32_projector() -> None:
    made = speech_llm()
    made.llm.bfloat16()
    ids, mask, features = batch(made)
    assert made(ids, features.double(), [7, 4], attention_mask=mask).logits.dtype == torch.bfloat16


def test_a_projector_to_another_width() -> None:
    with pytest.raises(CodectokError, match=f"width 7, the model's embeddings have {WIDTH}"):
        SpeechLLM(model("llama", 30, tied=True), build_projector("linear", IN, 7), HERE)
