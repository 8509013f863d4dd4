"""Several streams on any language model: the loss and every step are those of a slow reference without memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from codectok.errors import CodectokError, FingerprintError, FormatError
from codectok.llm.generate.stream_generation import generate_streams, greedy
from codectok.llm.generate.stream_grammar import StreamGrammar
from codectok.llm.generate.stream_steps import say_steps
from codectok.llm.heads.stream_folder import open_streams, plan_of
from codectok.llm.heads.stream_model import FILE, WEIGHTS, StreamModel
from codectok.llm.heads.token_rows import check_vocab_for_streams
from codectok.llm.patterns.stream_plan import NAMES, StreamPlan, read_plan
from codectok.llm.training.stream_data import collate_streams
from tests.llm.text_tokenizers import with_audio
from tests.llm.tiny_models import FAMILIES, model

tf = pytest.importorskip("transformers")
SIZES = (9, 7, 5)


def made(name: str, family: str = "llama", text: bool = False, tied: bool = False) -> StreamModel:
    tokenizer, vocab = with_audio("byte-level", SIZES)
    plan = read_plan(name, SIZES, (vocab.base_id + 1) * text)
    assert plan is not None
    lm = model(family, len(tokenizer), tied=tied)
    torch.manual_seed(1)
    return StreamModel(lm, vocab, plan, width=8, layers=2).eval()


def rows(plan: StreamPlan, seed: int, frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    rng = np.random.default_rng(seed)
    text = rng.integers(0, plan.text, frames) if plan.text else None
    return rng.integers(0, 50, 2 + seed), np.stack([rng.integers(0, n, frames) for n in SIZES]), text


def vocabulary_ids(model: StreamModel, stream: int) -> list[int]:
    """Ids of the vocabulary that the local ids of a stream stand for, one by one."""
    plan, vocab = model.plan, model.vocab
    begin, end, codebook = vocab.markers["begin"], vocab.markers["end"], plan.codebook_of[stream]
    if codebook < 0:
        return [*range(plan.text - 1), begin, begin, end]
    return [vocab.id(f"<|audio_{codebook}_{c}|>") or 0 for c in range(SIZES[codebook])] + [begin, end]


def slow_states(model: StreamModel, prompt: Tensor, steps: Tensor) -> Tensor:
    """States [P + L, D] after a prompt and steps [S, L]: all computed anew, by the model's own call."""
    embedding, plan = model.lm.get_input_embeddings(), model.plan
    vectors = [embedding(prompt)]
    for step in steps.T:
        total = torch.zeros(embedding.weight.shape[1])
        for s, id in enumerate(step.tolist()):
            vector = embedding(torch.tensor(vocabulary_ids(model, s)[id]))
            total += model.heads.inward[plan.place_of[s]](vector) if plan.group > 1 else vector
        vectors.append(total[None])
    out = model.lm(inputs_embeds=torch.cat(vectors)[None], use_cache=False, output_hidden_states=True)
    return out.hidden_states[-1][0]


def slow_logits(model: StreamModel, state: Tensor, before: list[int]) -> Tensor:
    """Logits of stream ``len(before)`` of a step, given the streams before it."""
    s, plan, heads = len(before), model.plan, model.heads
    if plan.heads == "depth" and not (plan.text and s == 0):
        embedding = model.lm.get_input_embeddings()
        below = [embedding(torch.tensor(vocabulary_ids(model, i)[id])) for i, id in enumerate(before)]
        inputs = torch.stack([heads.inlet(state), *(heads.below(v) for v in below)]) + heads.place[: s + 1]
        state = heads.outlet(heads.depth(inputs_embeds=inputs[None], use_cache=False).last_hidden_state[0, -1])
    if plan.group > 1:
        state = heads.outward[plan.place_of[s]](state)
    whole = model.lm.get_output_embeddings()(state)
    return whole[vocabulary_ids(model, s)]


def slow_level(model: StreamModel, states: Tensor, codes: Tensor, level: int) -> Tensor:
    """Logits [T, N] of a level, given the codes [level, T] below it."""
    heads, embedding = model.heads, model.lm.get_input_embeddings()
    books = [s for s, k in enumerate(model.plan.codebook_of) if k == 0]
    assert len(books) == 1
    tables = [[model.vocab.id(f"<|audio_{k}_{c}|>") for c in range(SIZES[k])] for k in range(level + 1)]
    hidden = []
    for t, state in enumerate(states):
        below = sum(embedding(torch.tensor(tables[k][int(codes[k, t])])) for k in range(level))
        angle = t * 10000 ** (-torch.arange(0, 8, 2) / 8)
        place = torch.cat([angle.sin(), angle.cos()])
        hidden.append(heads.inlet(state) + heads.below(below) + heads.level[level] + place)
    out = heads.outlet(heads.levels(torch.stack(hidden)[None])[0])
    return model.lm.get_output_embeddings()(out)[:, tables[level]]


def slow_steps(model: StreamModel, prompt: Tensor, grammar: StreamGrammar) -> Iterator[tuple[Tensor, Tensor]]:
    history = torch.zeros(1, grammar.streams, 0, dtype=torch.int64)
    while not bool(grammar.finished(history)):
        state = slow_states(model, prompt, history[0])[-1]
        allow, before = grammar.allow(history)[0], []
        for s in range(grammar.streams):
            logits = slow_logits(model, state, before)
            before.append(int(logits.masked_fill(~allow[s, : len(logits)], float("-inf")).argmax()))
        step = grammar.settle(history, torch.tensor([before]))
        history = torch.cat([history, step[..., None]], -1)
        yield step[0], state


def slow_codes(model: StreamModel, prompt: Tensor, frames: int) -> Tensor:
    """All codes [K, T] that are said greedily."""
    plan = model.plan
    grammar = StreamGrammar(plan.pattern, plan.rows, plan.fill, min_frames=frames, max_frames=frames)
    steps = torch.stack([step for step, _ in slow_steps(model, prompt, grammar)], 1)
    codes = plan.pattern.inverse(steps, len(plan.rows), num_frames=frames)[bool(plan.text) :]
    if plan.heads == "nar":
        states = slow_states(model, prompt, steps)[len(prompt) : len(prompt) + frames]
        for k in range(1, len(SIZES)):
            codes = torch.cat([codes, slow_level(model, states, codes, k).argmax(-1)[None]])
    return codes


KINDS = [(name, family, False) for name in NAMES for family in FAMILIES] + [(name, "llama", True) for name in NAMES]


@pytest.mark.parametrize(("name", "family", "text"), KINDS)
@torch.no_grad()
def test_steps_are_those_of_the_slow_reference(name: str, family: str, text: bool) -> None:
    streams = made(name, family, text)
    plan, prompt = streams.plan, torch.tensor([5, 17, streams.vocab.markers["begin"]])
    grammar = StreamGrammar(plan.pattern, plan.rows, plan.fill, min_frames=5, max_frames=7)
    fast, slow = list(say_steps(streams, prompt, grammar, greedy)), list(slow_steps(streams, prompt, grammar))
    assert torch.stack([step.ids for step in fast]).tolist() == torch.stack([step for step, _ in slow]).tolist()
    torch.testing.assert_close(
        torch.stack([step.state for step in fast]), torch.stack([state for _, state in slow]), rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_codes_are_those_of_the_slow_reference(name: str, text: bool) -> None:
    streams, prompt = made(name, text=text), torch.tensor([5, 17, 9])
    events = list(generate_streams(streams, None, prompt, min_frames=6, max_frames=6))
    said = torch.cat([event.codes for event in events if hasattr(event, "codes")], 1)
    assert said.tolist() == slow_codes(streams, prompt, 6).tolist()
    assert len(set(said.flatten().tolist())) > 1


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("name", [*NAMES, '{"pattern": "grouped", "group": 2, "heads": "depth"}'])
@torch.no_grad()
def test_the_loss_is_the_sum_over_what_is_said(name: str, text: bool) -> None:
    """Of two utterances of unlike lengths in a batch, against one cell after the other; codebooks weigh 3, 1, .5."""
    streams = made(name, text=text)
    plan, weights = streams.plan, torch.tensor([3.0, 1.0, 0.5])
    utterances = [rows(plan, seed, frames) for seed, frames in ((1, 5), (3, 2))]
    batch = collate_streams(utterances, plan, weights)
    total, count = 0.0, torch.zeros(2)
    for i, (prompt, codes, words) in enumerate(utterances):
        said = codes[:1] if plan.heads == "nar" else codes
        steps = torch.from_numpy(plan.apply(said if words is None else np.concatenate([words[None], said])))
        grid = plan.pattern.grid(codes.shape[1], len(plan.rows))
        states = slow_states(streams, torch.from_numpy(prompt), steps)
        for at in range(steps.shape[1]):
            for s in range(len(steps)):
                if grid[s, at] >= 0 or grid[s, at] == -3:  # a code, or the end
                    logits = slow_logits(streams, states[len(prompt) - 1 + at], steps[:s, at].tolist())
                    weight = 1.0 if plan.codebook_of[s] < 0 else float(weights[plan.codebook_of[s]])
                    total -= weight * float(logits.log_softmax(-1)[steps[s, at]])
                    count[i] += weight
        for k in range(1, len(SIZES)) if plan.heads == "nar" else ():
            begun = states[len(prompt) : len(prompt) + codes.shape[1]]
            logits = slow_level(streams, begun, torch.from_numpy(codes), k).log_softmax(-1)
            total -= float(weights[k]) * float(logits.gather(1, torch.from_numpy(codes[k])[:, None]).sum())
            count[i] += float(weights[k]) * codes.shape[1]
    assert float(streams(**{n: t for n, t in batch.items() if n != "said"})) == pytest.approx(total, rel=1e-4)
    torch.testing.assert_close(batch["said"], count)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_keeps_plan_and_heads(name: str, tmp_path: Path) -> None:
    streams = made(name)
    streams.save_pretrained(tmp_path)
    assert plan_of(tmp_path) == streams.plan
    again = open_streams(tmp_path, streams.vocab)
    assert again.state_dict().keys() == streams.state_dict().keys()
    for key, value in streams.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
    assert (tmp_path / WEIGHTS).exists() is (name != "delay")
    _, other = with_audio("byte-level", (9, 7, 6))
    with pytest.raises(FingerprintError, match="another vocabulary"):
        open_streams(tmp_path, other)
    if name != "delay":
        (tmp_path / WEIGHTS).write_bytes(b"no weights")
        with pytest.raises(FormatError, match="copy the folder whole") as error:
            open_streams(tmp_path, streams.vocab)
        assert "\n" not in str(error.value)
    (tmp_path / FILE).write_text("{")
    with pytest.raises(FormatError, match="is damaged"):
        plan_of(tmp_path)


def test_streams_need_codes_of_one_rate_and_markers() -> None:
    for change, message in (({"slots": (0, 1, 1)}, "several rates"), ({"marks": ()}, "no markers")):
        _, vocab = with_audio("byte-level", (9, 7, 7))
        with pytest.raises(FormatError, match=message):
            check_vocab_for_streams(dataclasses.replace(vocab, **change))
    with pytest.raises(CodectokError, match="hold no frame"):
        generate_streams(made("delay"), None, torch.zeros(2, dtype=torch.int64), max_new_tokens=2)
