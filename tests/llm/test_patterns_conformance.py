"""The conventions of audiocraft, MusicGen, Moshi and Dia: on written-out grids, and against transformers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from codectok.llm.patterns import (
    CoarseFirst,
    Delay,
    Fill,
    MoshiStreams,
    PartialFlatten,
    dia,
    music_lm,
    musicgen,
    parallel,
)

P, B, E = 99, 98, 97


def grid(text: str) -> str:
    return "\n".join(" ".join(cell.ljust(2) for cell in line.split()).rstrip() for line in text.strip().splitlines())


# fmt: off
AUDIOCRAFT = [  # each pattern class of codebooks_patterns.py, with the empty first step they all have
    (parallel(2, lead=1), 3, 2, """
        ^  a0 a1 a2
        ^  b0 b1 b2"""),
    (Delay(lead=1), 4, 3, """
        ^  a0 a1 a2 a3 _  _
        ^  ^  b0 b1 b2 b3 _
        ^  ^  ^  c0 c1 c2 c3"""),
    (PartialFlatten((0, 1, 2), lead=1), 2, 3, """
        ^  a0 .  .  a1 .  .
        ^  .  b0 .  .  b1 .
        ^  .  .  c0 .  .  c1"""),
    (PartialFlatten((0, 1, 1), lead=1), 3, 3, """
        ^  a0 .  a1 .  a2 .
        ^  .  b0 .  b1 .  b2
        ^  .  c0 .  c1 .  c2"""),
    (PartialFlatten((0, 1, 1), (0, 3, 3), lead=1), 4, 3, """
        ^  a0 a1 a2 .  a3 .  _  .  _  .  _
        ^  .  .  .  b0 .  b1 .  b2 .  b3 .
        ^  .  .  .  c0 .  c1 .  c2 .  c3 ."""),
    (CoarseFirst((0, 1), lead=1), 3, 3, """
        ^  a0 a1 a2 .  .  .  .
        ^  .  .  .  b0 b1 b2 _
        ^  .  .  .  ^  c0 c1 c2"""),
    (music_lm(4), 2, 4, """
        a0 b0 a1 b1 c0 d0 c1 d1"""),
    (musicgen(4, channels=2), 2, 4, """
        ^  a0 a1 _
        ^  b0 b1 _
        ^  ^  c0 c1
        ^  ^  d0 d1"""),
    (dia((0, 2, 3)), 2, 3, """
        ^  a0 a1 $  _  _  _
        ^  ^  ^  b0 b1 $  _
        ^  ^  ^  ^  c0 c1 $"""),
    (MoshiStreams(2, lead=1, tail="truncate").pattern, 4, 5, """
        ^  a0 a1 a2 a3
        ^  b0 b1 b2 b3
        ^  ^  c0 c1 c2
        ^  d0 d1 d2 d3
        ^  ^  e0 e1 e2"""),
]
# fmt: on


@pytest.mark.parametrize(("pattern", "frames", "codebooks", "text"), AUDIOCRAFT, ids=[str(p) for p, *_ in AUDIOCRAFT])
def test_written_out(pattern: Delay, frames: int, codebooks: int, text: str) -> None:
    assert pattern.draw(frames, codebooks) == grid(text)


def codes(k: int, t: int) -> torch.Tensor:
    return torch.randint(0, 90, (2, k, t), generator=torch.Generator().manual_seed(k * 100 + t))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("k", "t"), [(4, 4), (4, 30), (2, 7), (8, 9)])
def test_musicgen_of_transformers(k: int, t: int, channels: int) -> None:
    modeling = pytest.importorskip("transformers.models.musicgen.modeling_musicgen")
    model = SimpleNamespace(num_codebooks=k, config=SimpleNamespace(audio_channels=channels))
    theirs = modeling.MusicgenForCausalLM
    build, apply = theirs.build_delay_pattern_mask, theirs.apply_delay_pattern_mask
    x = codes(k, t)
    pattern = musicgen(k, channels)
    # What generation is given: the prompt with MusicGen's leading pad step, to be extended to the full length.
    prompt = torch.cat([torch.full((2, k, 1), P), x], -1).reshape(2 * k, t + 1)
    _, mask = build(model, prompt, P, max_length=pattern.length(t, k))
    assert torch.equal(mask.reshape(2, k, -1), pattern.apply(x, Fill.all(P)))
    # And empty, to be generated: the places of codes (-1) are ours, and applying the mask puts pads elsewhere.
    _, empty = build(model, torch.full((2 * k, 1), P), P, max_length=pattern.length(t, k))
    assert torch.equal(empty.reshape(2, k, -1)[0] == -1, torch.from_numpy(pattern.grid(t, k) >= 0))
    said = torch.full((2 * k, pattern.length(t, k)), 5)
    said = apply(said, empty).reshape(2, k, -1)
    assert torch.equal(said, pattern.apply(torch.full((2, k, t), 5), Fill.all(P)))
    assert torch.equal(pattern.inverse(said, k, sizes=[90] * k), torch.full((2, k, t), 5))


@pytest.mark.parametrize("delays", [(0, 8, 9, 10, 11, 12, 13, 14, 15), (0, 2, 3)])
@pytest.mark.parametrize("t", [0, 1, 5, 40])
def test_dia_of_transformers(delays: tuple[int, ...], t: int) -> None:
    processing = pytest.importorskip("transformers.models.dia.processing_dia")
    processor, k = processing.DiaProcessor, len(delays)
    x = codes(k, t)
    prefill = torch.full((2, 1 + t + 1 + max(delays), k), P)
    prefill[:, 0], prefill[:, 1 + t] = B, E
    prefill[:, 1 : 1 + t] = x.transpose(1, 2)
    shape = {"bsz": 2, "seq_len": prefill.shape[1], "num_channels": k, "delay_pattern": list(delays)}
    want = processor.apply_audio_delay(prefill, P, B, processor.build_indices(**shape))
    pattern = dia(delays)
    steps = pattern.apply(x, Fill(start=B, end=E, pad=P))
    assert torch.equal(steps, want.transpose(1, 2))
    undone = processor.apply_audio_delay(want, -1, -1, processor.build_indices(**shape, revert=True))
    assert torch.equal(pattern.inverse(steps, k), undone.transpose(1, 2)[..., 1 : 1 + t])


@pytest.mark.parametrize("t", [1, 6])
def test_moshi_of_transformers(t: int) -> None:
    modeling = pytest.importorskip("transformers.models.moshi.modeling_moshi")
    x = codes(4, t)
    build = modeling.MoshiForConditionalGeneration.build_delay_pattern_mask
    _, mask = build(SimpleNamespace(), x, B, P, max_length=t + 1)
    ours = Delay((0, 1, 1, 1))
    assert torch.equal(mask, ours.apply(x, Fill(start=B, pad=P)))
    side = MoshiStreams(4, both_sides=False).pattern
    assert side.delays == (0, *(ours.delays or ()))  # text in line with the semantic codebook


def test_moshi_of_the_paper_keeps_the_length_and_loses_the_tail() -> None:
    pattern = MoshiStreams(8, lead=1, tail="truncate").pattern
    assert pattern.delays == (0, *(0, 1, 1, 1, 1, 1, 1, 1), *(0, 1, 1, 1, 1, 1, 1, 1))
    x = np.random.default_rng(0).integers(0, 9, (17, 12))
    steps = pattern.apply(x)
    assert steps.shape == (17, 13)
    np.testing.assert_array_equal(pattern.inverse(steps, 17), x[:, :11])
