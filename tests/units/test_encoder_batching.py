"""Batches: what runs together, and that the units are those of each clip on its own; windows, and int8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.errors import CodectokError
from codectok.units import SpeechEncoder, load_encoder
from codectok.units.encoders.batching import batches
from tests.units.conftest import MAKERS, noise

LENGTHS = (5000, 333, 16001, 8000, 8000, 12345, 1, 7990)


@given(lengths=st.lists(st.integers(1, 50), max_size=30), limit=st.sampled_from([0, 1, 40, 100]), equal=st.booleans())
@settings(max_examples=200)
def test_batches(lengths: list[int], limit: int, equal: bool) -> None:
    found = batches(lengths, limit, equal)
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    for batch in found:
        longest = max(lengths[i] for i in batch)
        assert len(batch) == 1 or longest * len(batch) <= limit
        assert not equal or len({lengths[i] for i in batch}) == 1


def units(features: torch.Tensor, centroids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The nearest centroid of each frame, and the relative gap to the second."""
    near = torch.cdist(features.double(), centroids.double()).square().topk(2, largest=False)
    return near.indices[:, 0], (near.values[:, 1] - near.values[:, 0]) / near.values[:, 1]


def assert_same_units(a: torch.Tensor, b: torch.Tensor, centroids: torch.Tensor) -> None:
    """Equal, or a tie: a relative gap under 1e-4."""
    (x, gap), (y, _) = units(a, centroids), units(b, centroids)
    assert ((x == y) | (gap < 1e-4)).all()


@pytest.mark.parametrize("padding", ["hop", "none"])
@pytest.mark.parametrize("name", MAKERS)
def test_units_of_a_batch_are_those_of_each(folders: dict[str, Path], name: str, padding: str) -> None:
    if name == "whisper" and padding == "none":
        pytest.skip("Whisper's audio is always followed by silence")
    options: Any = {"tail_seconds": 0.2} if name == "whisper" else {"padding": padding}
    encoder = load_encoder(folders[name], [1, 3], batch_seconds=4.0, **options)
    clips = [noise(n, n) for n in LENGTHS]
    single = [encoder.features(clip) for clip in clips]
    calls: list[int] = []
    stack = encoder._stack
    encoder._stack = lambda x, mask: (calls.append(len(x)), stack(x, mask))[1]  # type: ignore[method-assign]
    together = encoder.features_batch(clips)
    assert sum(calls) == 8
    assert len(calls) < 8
    assert (max(calls) > 3) == encoder.maskable  # three have the same number of frames
    centroids = torch.cat(single)[
        torch.randperm(sum(map(len, single)), generator=torch.Generator().manual_seed(0))[:20]
    ]
    for one, many in zip(single, together, strict=True):
        torch.testing.assert_close(one, many, atol=2e-5, rtol=1e-4)
        assert_same_units(one, many, centroids)


def test_whole_whispers_run_together(folders: dict[str, Path]) -> None:
    encoder = load_encoder(folders["whisper"], 1, batch_seconds=60.0)
    clips = [noise(n, n) for n in LENGTHS[:3]]
    for clip, found in zip(clips, encoder.features_batch(clips), strict=True):
        torch.testing.assert_close(found, encoder.features(clip), atol=1e-5, rtol=1e-5)


def test_a_cpu_runs_one_at_a_time(folders: dict[str, Path]) -> None:
    encoder = load_encoder(folders["hubert-large"], 1)
    assert encoder.batch_seconds == 0
    clips = [noise(n, n) for n in LENGTHS[:4]]
    for clip, found in zip(clips, encoder.features_batch(clips), strict=True):
        assert torch.equal(found, encoder.features(clip))
    assert encoder.features_batch([]) == []


def seam_share(folder: Path | str, **options: Any) -> float:
    """Share of units that windows of 2 s with an overlap of 1 s change, on 6 s."""
    whole, cut = load_encoder(folder, 2), load_encoder(folder, 2, window_seconds=2.0, overlap_seconds=1.0, **options)
    audio = noise(16000 * 6)
    a, b = whole.features(audio), cut.features(audio)
    assert not torch.equal(a, b)
    centroids = a[:: len(a) // 20]
    return float((units(a, centroids)[0] != units(b, centroids)[0]).float().mean())


@pytest.mark.parametrize("name", ["hubert-large", "wavlm-large", "w2v-bert"])
def test_seams_change_few_units(folders: dict[str, Path], name: str) -> None:
    """Of tiny random models, whose attention is all but uniform: a tenth at most."""
    assert seam_share(folders[name]) < 0.1


@pytest.mark.parametrize("name", ["logmel", "mfcc"])
@pytest.mark.parametrize("padding", ["hop", "none"])
def test_seams_change_nothing_where_context_is_short(name: str, padding: str) -> None:
    encoder = load_encoder(name, 0, padding=padding)
    audio = noise(16000 * 3 + 11)
    whole = encoder.features(audio)
    encoder.window_frames, encoder.overlap_frames = 100, 20
    torch.testing.assert_close(encoder.features(audio), whole, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("name", ["hubert-base", "wavlm-large", "w2v-bert", "whisper", "data2vec"])
def test_int8_is_close(folders: dict[str, Path], name: str) -> None:
    options: Any = {"tail_seconds": 0.2} if name == "whisper" else {}
    full, small = (load_encoder(folders[name], [1, 2], dtype=d, **options) for d in ("float32", "int8"))
    audio = noise(16000)
    a, b = full.features(audio), small.features(audio)
    assert full.fingerprint == small.fingerprint
    assert b.dtype == torch.float32
    assert not torch.equal(a, b)
    assert torch.cosine_similarity(a, b, -1).mean() > 0.99
    assert any("quantized" in type(m).__module__ for m in small.model.modules())


def test_int8_is_for_cpus(folders: dict[str, Path]) -> None:
    with pytest.raises(CodectokError, match="on a CPU int8"):
        load_encoder(folders["hubert-base"], 1, "cuda", dtype="int8")


def test_features_can_be_trained_on(folders: dict[str, Path]) -> None:
    encoder: SpeechEncoder = load_encoder(folders["hubert-base"], 1)
    weight = torch.ones(16, requires_grad=True)
    (encoder.features(noise(4000)) * weight).sum().backward()
    assert weight.grad is not None
