"""The vLLM processor, run by a stand-in for the engine that keeps to its documented interface."""

from __future__ import annotations

import importlib
import inspect
import sys
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from codectok.errors import FormatError
from codectok.llm.generate import vllm as engines
from codectok.llm.generate.logits import AudioGrammar, GrammarMask
from tests.llm.constrained import vocab


class AdapterLogitsProcessor:
    """What vLLM documents of its class of that name: one callable a request, moved about with the batch."""

    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
        self.req_info: dict[int, Any] = {}

    def update_state(self, update: Any) -> None:
        if update is None:
            return
        for index in update.removed:
            self.req_info.pop(index, None)
        for index, params, prompt, output in update.added:
            self.req_info.pop(index, None)
            request = self.new_req_logits_processor(params)  # type: ignore[attr-defined]
            if request is not None:
                needs = len(inspect.signature(request).parameters)
                self.req_info[index] = partial(request, *([prompt, output] if needs == 3 else [output]))
        for a, b, swap in update.moved:
            old = self.req_info.pop(b, None)
            if a in self.req_info:
                self.req_info[b] = self.req_info.pop(a)
            if swap and old is not None:
                self.req_info[a] = old

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        for index, request in self.req_info.items():
            logits[index] = request(logits[index])
        return logits


def update(added: Any = (), removed: Any = (), moved: Any = ()) -> SimpleNamespace:
    return SimpleNamespace(added=added, removed=removed, moved=moved)


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    for name in ("vllm", "vllm.v1", "vllm.v1.sample", "vllm.v1.sample.logits_processor"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["vllm.v1.sample.logits_processor"].AdapterLogitsProcessor = AdapterLogitsProcessor  # type: ignore
    vocab(5, 6, 7).save(tmp_path)
    config = SimpleNamespace(model_config=SimpleNamespace(model=str(tmp_path)))
    yield importlib.reload(engines).AudioLogitsProcessor(config, torch.device("cpu"), False)
    monkeypatch.undo()
    importlib.reload(engines)


def request(**settings: Any) -> SimpleNamespace:
    return SimpleNamespace(extra_args={"codectok": settings})


def test_rows_follow_their_requests_through_the_batch(processor: Any) -> None:
    of = vocab(5, 6, 7)
    begin, rows = of.markers["begin"], of.end_id + 4
    grammar = AudioGrammar(of, text_size=of.end_id, min_frames=1, max_frames=2)
    asks = request(text_size=of.end_id, min_frames=1, max_frames=2, pattern={"pattern": "flatten"})
    said: list[list[int]] = [[], [], []]
    prompts = [[3, begin], [4], [begin, 20]]
    plain = SimpleNamespace(extra_args=None)
    processor.update_state(
        update([(0, asks, prompts[0], said[0]), (1, plain, [5], []), (2, asks, prompts[2], said[2])])
    )

    def want(i: int) -> torch.Tensor:
        return GrammarMask(grammar)(torch.tensor([prompts[i] + said[i]]), torch.zeros(1, rows))[0]

    for said_next in (20, 26, 32):
        logits = processor.apply(torch.zeros(3, rows))
        assert torch.equal(logits[0], want(0))
        assert torch.equal(logits[2], want(2))
        assert not logits[1].any()
        said[0].append(said_next)  # the engine appends to the list that it handed over
    processor.update_state(update(moved=[(2, 1, False)]))
    logits = processor.apply(torch.zeros(3, rows))
    assert torch.equal(logits[1], want(2))
    assert not logits[2].any()
    processor.update_state(update(moved=[(0, 1, True)]))
    logits = processor.apply(torch.zeros(3, rows))
    assert torch.equal(logits[1], want(0))
    assert torch.equal(logits[0], want(2))
    processor.update_state(update(removed=[0, 1]))
    assert not processor.apply(torch.zeros(3, rows)).any()
    processor.update_state(None)
    assert processor.is_argmax_invariant() is False


def test_a_request_in_error_is_refused_with_a_reason(processor: Any) -> None:
    processor.validate_params(SimpleNamespace(extra_args=None))
    processor.validate_params(request(max_frames=3))
    with pytest.raises(ValueError, match="give a dict"):
        processor.validate_params(SimpleNamespace(extra_args={"codectok": True}))
    with pytest.raises(ValueError, match="no pattern 'braid'"):
        processor.validate_params(request(pattern={"pattern": "braid"}))
    with pytest.raises(FormatError, match="has no"):
        processor.new_req_logits_processor(request(frames=3))


def test_without_vllm_it_says_so() -> None:
    if engines.Base is not object:
        pytest.skip("vllm is installed")
    with pytest.raises(ImportError, match="install vllm"):
        engines.AudioLogitsProcessor(None, torch.device("cpu"), False)
