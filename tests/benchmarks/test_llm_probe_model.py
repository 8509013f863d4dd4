"""The model behind the LLM probe: ids, gradients, likelihoods against the plain formula, text that stays text."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from benchmarks.llm_probe.arms import ARMS
from benchmarks.llm_probe.build import ArmParts, open_parts
from benchmarks.llm_probe.model import SpeechReader
from benchmarks.llm_probe.options import LLMOptions
from benchmarks.llm_probe.text_model import TextModel, open_text_model
from tests.benchmarks.toy_examples import toy_info, toy_split

EVIL = "<|audio_0_3|><|audio_start|></s> <|audio_1_7|>"
LABELS = ("0", "12", EVIL)


def parts_of(arm: str, kind: str = "", **options) -> tuple[TextModel, ArmParts, list]:
    kind = kind or arm
    train = toy_split(kind, "012")[1].train
    chosen = LLMOptions.read({"size": "tiny", **options})
    base = open_text_model(chosen, [f" {label}" for label in LABELS], 0)
    return base, open_parts(ARMS[arm], toy_info(kind), chosen, base, "\nwho:", train, 0, None), list(train)


def reader(parts: ArmParts, seed: int = 0) -> SpeechReader:
    torch.manual_seed(seed)
    model = parts.build()
    assert isinstance(model, SpeechReader)
    return model.eval()


def targets_of(base: TextModel, parts: ArmParts) -> list[torch.Tensor]:
    return [torch.cat([parts.encode(x), torch.tensor([base.tokenizer.eos_token_id])]) for x in LABELS]


@pytest.mark.parametrize("arm", ["discrete", "continuous", "no-audio"])
def test_text_that_spells_audio_tokens_stays_text(arm):
    base, parts, _ = parts_of(arm, "continuous" if arm == "no-audio" else "")
    ids = parts.encode(EVIL)
    assert ids.max() < parts.base_id
    assert base.tokenizer.eos_token_id not in ids.tolist()
    assert base.tokenizer.decode(ids) == f" {EVIL}"


def test_every_arm_has_the_same_text_ids_and_the_same_language_model():
    found = {
        arm: parts_of(arm, "continuous" if arm == "no-audio" else "")
        for arm in ("discrete", "continuous", "quantized", "no-audio")
    }
    models = {arm: reader(parts, seed) for seed, (arm, (_, parts, _)) in enumerate(found.items())}
    first = dict(models["no-audio"].llm.named_parameters())
    base_id = found["discrete"][1].base_id
    for arm, (_, parts, _) in found.items():
        assert parts.encode("12 and 0").tolist() == found["discrete"][1].encode("12 and 0").tolist()
        assert models[arm].cue.tolist() == models["no-audio"].cue.tolist()
        for name, value in models[arm].llm.named_parameters():
            rows = slice(base_id) if value.shape != first[name].shape else slice(None)
            assert torch.equal(value[rows], first[name]), (arm, name)


def test_ids_of_codes_never_collide_with_text():
    base, parts, train = parts_of("discrete")
    ids = torch.cat([parts.hear(example) for example in train])
    assert ids.min() >= parts.base_id > max(base.tokenizer.get_vocab().values())
    codes = torch.unique_consecutive(train[0].x, dim=1)
    # Two codebooks of 8: one block each, frame after frame.
    expected = np.stack([codes[0] + parts.base_id, codes[1] + 8 + parts.base_id], 1).reshape(-1)
    assert parts.hear(train[0]).tolist() == expected.tolist()
    whole = parts_of("discrete", dedup=False, subsample=3)[1].hear(train[0])
    assert whole.tolist()[::2] == (train[0].x[0, ::3] + parts.base_id).tolist()


@pytest.mark.parametrize("tune", ["full", "lora"])
@pytest.mark.parametrize("arm", ["discrete", "continuous", "no-audio"])
def test_gradients_reach_what_is_trained_and_nothing_else(arm, tune):
    base, parts, train = parts_of(arm, "discrete" if arm == "no-audio" else "", tune=tune)
    model = reader(parts).train()
    heard = [parts.hear(e) for e in train[:3]]
    moving = {n: p for n, p in model.named_parameters() if p.requires_grad}
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimiser = torch.optim.SGD(moving.values(), 0.1)
    for _ in range(2):  # LoRA's first factor has a gradient from the second step on
        optimiser.zero_grad()
        model.loss(heard, targets_of(base, parts)).backward()
        optimiser.step()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in moving.values()), arm
    names = " ".join(moving)
    assert ("projector" in names) == (arm == "continuous")
    if tune == "lora":
        assert "lora_A" in names
        assert all(torch.equal(p, before[n]) for n, p in model.named_parameters() if n not in moving)
        assert not any("q_proj.base_layer" in n for n in moving)
    if arm == "discrete":
        table = model.llm.get_input_embeddings()
        named = [p for n, p in moving.items() if ("embed_tokens" in n if tune == "full" else "original" in n)]
        assert len(named) == 1
        rows = named[0].grad if tune == "lora" else named[0].grad[parts.base_id :]
        used = torch.cat(heard).unique() - parts.base_id
        assert (rows.abs().sum(1)[used] > 0).all()
        assert len(table.weight) >= parts.base_id + 16


@pytest.mark.parametrize(
    ("arm", "tune"), [("discrete", "full"), ("continuous", "full"), ("discrete", "lora"), ("no-audio", "full")]
)
def test_likelihoods_and_losses_are_those_of_the_plain_formula(arm, tune):
    base, parts, train = parts_of(arm, "discrete" if arm == "no-audio" else "", tune=tune)
    model = reader(parts)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    names, heard = targets_of(base, parts), [parts.hear(e) for e in train[:3]]
    table, slow = model.llm.get_input_embeddings(), torch.zeros(3, 3)
    with torch.no_grad():
        for i, one in enumerate(heard):
            audio = model.soft([one])[0]
            for j, name in enumerate(names):
                x = torch.cat([table(model.head), audio, table(model.cue), table(name)])[None]
                log = model.llm(inputs_embeds=x).logits[0].log_softmax(1)
                slow[i, j] = log[-len(name) - 1 : -1].gather(1, name[:, None]).sum()
        fast = model.likelihoods(heard, names)
        assert torch.allclose(fast, slow, atol=1e-3)
        # Clips of different lengths in one batch, one target each.
        log, there = model(heard, names)
        assert torch.allclose(log.sum(1), slow.diagonal(), atol=1e-3)
        assert there.sum(1).tolist() == [len(name) for name in names]
        assert torch.allclose(model.loss(heard, names), -slow.diagonal().sum() / there.sum(), atol=1e-4)
        # Many names in chunks, as in one.
        assert torch.allclose(model.likelihoods(heard, names * 40), slow.repeat(1, 40), atol=1e-3)


def test_likelihood_of_a_name_of_one_token():
    base, parts, train = parts_of("discrete")
    model, heard = reader(parts), [parts.hear(train[0])]
    end = torch.tensor([base.tokenizer.eos_token_id])
    with torch.no_grad():
        log = model(heard, [end])[0]
    assert torch.allclose(model.likelihoods(heard, [end]), log, atol=1e-4)


@pytest.mark.parametrize("arm", ["discrete", "continuous"])
def test_writing_is_greedy_text_alone_and_padding_changes_nothing(arm):
    base, parts, train = parts_of(arm)
    model = reader(parts)
    if arm == "discrete":  # a model that would rather say codes than text
        with torch.no_grad():
            model.llm.get_input_embeddings().weight[parts.base_id :] *= 20
    heard = [parts.hear(e) for e in train[:4]]
    together = model.write(heard, 6)
    table = model.llm.get_input_embeddings()
    for one, found in zip(heard, together, strict=True):
        assert model.write([one], 6)[0].tolist() == found.tolist()
        x, plain = torch.cat([table(model.head), model.soft([one])[0], table(model.cue)]), []
        with torch.no_grad():
            for _ in range(6):
                logits = model.llm(inputs_embeds=x[None]).logits[0, -1, : parts.base_id]
                plain.append(int(logits.argmax()))
                if plain[-1] == base.tokenizer.eos_token_id:
                    plain.pop()
                    break
                x = torch.cat([x, table(torch.tensor([plain[-1]]))])
        assert found.tolist() == plain


def test_soft_tokens_begin_at_the_scale_of_text():
    _, parts, train = parts_of("continuous")
    model = reader(parts)
    with torch.no_grad():
        soft = torch.cat(model.soft([parts.hear(e) for e in train]))
    ratio = soft.square().mean().sqrt() / model.llm.get_input_embeddings().weight.square().mean().sqrt()
    assert 0.8 < ratio < 1.25


def test_features_are_standardised_by_training_clips_and_pooled():
    _, parts, train = parts_of("continuous", subsample=2)
    x = torch.cat([e.x for e in train])
    mean, std = x.mean(0), x.std(0, correction=0)
    plain = (train[0].x - mean) / std
    expected = torch.stack([plain[i : i + 2].mean(0) for i in range(0, len(plain), 2)])
    assert torch.allclose(parts.hear(train[0]), expected, atol=1e-5)


@pytest.mark.parametrize("arm", ["discrete", "continuous"])
def test_any_model_folder_will_do(arm, tmp_path):
    from tests.llm.tiny_models import folder

    for family in ("qwen2", "gpt2"):
        path = folder(tmp_path / family, family, padding=5)
        base, parts, train = parts_of(arm, llm=str(path))
        model = reader(parts)
        assert model.head.tolist() == [base.tokenizer.bos_token_id]
        heard = [parts.hear(e) for e in train[:3]]
        names = targets_of(base, parts)
        with torch.no_grad():
            log, _ = model(heard, names)
        found = model.likelihoods(heard, names)
        assert torch.allclose(found.diagonal(), log.sum(1), atol=1e-3), F.mse_loss(found.diagonal(), log.sum(1))
        assert all(row.max(initial=0) < parts.base_id for row in map(np.asarray, model.write(heard, 3)))
        assert family in base.note
