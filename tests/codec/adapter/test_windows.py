"""Long audio through ``hf:``: memory is bounded, and what windows change is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.codec.adapter.models import MODELS, clip, kinds


def unbounded(tok: Any, audio: torch.Tensor) -> tuple[torch.Tensor, np.ndarray]:
    """Codes and decoded audio of the whole at once."""
    size = tok.window_frames
    try:
        tok.window_frames = 10**9
        tokens = tok.encode(audio, tok.sample_rate)
        return tokens.codes, tok.decode(tokens)
    finally:
        tok.window_frames = size


@pytest.mark.parametrize("kind", [k for k in sorted(MODELS) if k == "dac"])
def test_windows_of_convolutions_change_nothing(kind: str, pair: Any) -> None:
    _, tok = pair(kind)
    assert tok.family.exact
    audio = clip(25 * tok.sample_rate + 1, tok.sample_rate)[0, 0]
    tokens = tok.encode(audio, tok.sample_rate)
    assert tokens.num_frames > 2 * tok.window_frames
    codes, wave = unbounded(tok, audio)
    assert torch.equal(tokens.codes, codes)
    np.testing.assert_allclose(tok.decode(tokens), wave, atol=1e-6)


@pytest.mark.parametrize("kind", kinds("dac", "mimi"))
def test_no_more_than_a_window_is_run_at_once(kind: str, pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, tok = pair(kind)
    ran: list[int] = []
    latents, synthesize = tok.family.latents, tok.family.synthesize
    monkeypatch.setattr(tok.family, "latents", lambda x: (ran.append(len(x) // tok.family.hop), latents(x))[1])
    monkeypatch.setattr(tok.family, "synthesize", lambda z: (ran.append(len(z)), synthesize(z))[1])
    seconds = 2.5 * tok.window_frames / float(tok.frame_rate)
    audio = clip(round(seconds * tok.sample_rate), tok.sample_rate)[0, 0]
    tokens = tok.encode(audio, tok.sample_rate)
    assert len(ran) > 2
    if tok.can_decode:
        assert len(tok.decode(tokens)) == len(audio)
        assert len(ran) > 4
    assert max(ran) <= tok.window_frames


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_windows_are_part_of_the_fingerprint(kind: str, pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from codectok.codec.adapter.opening import fingerprints

    _, tok = pair(kind)
    assert fingerprints(tok.family)[0] == tok.fingerprint
    monkeypatch.setattr(type(tok.family), "window_seconds", 17.0)
    assert fingerprints(tok.family)[0] != tok.fingerprint
