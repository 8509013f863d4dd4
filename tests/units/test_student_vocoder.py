"""The unit vocoder: any frame rate, any cut of the stream, and what it holds back."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok import CodectokError, FormatError
from codectok.units.vocoder.folder import open_vocoder, save_vocoder
from codectok.units.vocoder.unit_vocoder import UnitVocoder, VocoderConfig
from tests.units.student_subject import tiny_vocoder

HOPS = [(320, 1), (640, 1), (160, 1), (1280, 3), (1000, 1), (6400, 9)]


def units(vocoder: UnitVocoder, frames: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randint(n, (frames,), generator=generator) for n in vocoder.config.codebook_sizes])


def slow_unit_at(vocoder: UnitVocoder, frame: int) -> int:
    """The unit frame that holds the middle sample of a network frame, by fractions."""
    middle = Fraction(2 * frame + 1, 2) * vocoder.codec.frame
    return int(middle / Fraction(*vocoder.config.hop))


@torch.inference_mode()
def whole(vocoder: UnitVocoder, codes: torch.Tensor) -> torch.Tensor:
    """The obvious way: repeat units onto frames, pad with the last, run everything at once, take off the delay."""
    top, bottom = vocoder.config.hop
    needed = codes.shape[1] * top / bottom + vocoder.codec.mdct_hop
    count = int(np.ceil(needed / vocoder.codec.frame_size)) * vocoder.codec.merge + vocoder.config.ahead
    at = [min(slow_unit_at(vocoder, m), codes.shape[1] - 1) for m in range(count)]
    speaker = torch.tensor([vocoder.speaker])
    control, _ = vocoder.control(codes[None, :, at], speaker, None)
    control = control[:, vocoder.config.ahead // vocoder.codec.merge :]
    return vocoder.decoder.step(vocoder.settled(vocoder.latents(control)), None)[0][0]


@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize("sizes", [[30], [20, 10]])
def test_decode_equals_the_whole_at_once(hop: tuple[int, int], sizes: list[int]) -> None:
    vocoder = tiny_vocoder(sizes, hop)
    codes = units(vocoder, 37)
    expected = whole(vocoder, codes)
    covered = 37 * hop[0] // hop[1]
    assert len(expected) >= covered
    found = vocoder.decode(codes, covered)
    assert np.abs(found - expected[:covered].numpy()).max() < 1e-5 * float(expected.abs().max())
    longer = vocoder.decode(codes, len(expected) + 5000)
    assert longer.shape == (len(expected) + 5000,)
    assert not longer[-4000:].any()


@settings(max_examples=25, deadline=None)
@given(
    hop=st.sampled_from(HOPS), cuts=st.lists(st.integers(0, 9), min_size=1, max_size=8), ahead=st.sampled_from([0, 4])
)
@torch.inference_mode()
def test_any_cut_gives_the_same_samples(hop: tuple[int, int], cuts: list[int], ahead: int) -> None:
    vocoder = tiny_vocoder([30], hop, ahead)
    codes = units(vocoder, sum(cuts))[None]
    parts, state, at = [], None, 0
    for cut in cuts:
        samples, state = vocoder.step(codes[:, :, at : at + cut], state, False)
        parts.append(samples)
        at += cut
    parts.append(vocoder.step(codes[:, :, :0], state, True)[0])
    joined = torch.cat(parts, 1)[0]
    if not sum(cuts):
        assert not len(joined)
        return
    expected = whole(vocoder, codes[0])
    assert joined.shape == expected.shape
    assert torch.allclose(joined, expected, atol=1e-5 * float(expected.abs().max()))


@torch.inference_mode()
def test_held_units_do_not_grow() -> None:
    vocoder = tiny_vocoder([30])
    state = None
    for i in range(40):
        _, state = vocoder.step(units(vocoder, 7, i)[None], state, False)
        assert state["held"].shape[2] <= 2


@torch.inference_mode()
def test_units_are_heard_where_they_stand() -> None:
    """A unit changes its own surroundings and nothing long before; how far ahead is seen shows in the audio."""
    vocoder = tiny_vocoder([30], ahead=2)
    codes = units(vocoder, 60)
    changed = codes.clone()
    changed[0, 30] = (changed[0, 30] + 7) % 30
    a, b = vocoder.decode(codes, 60 * 320), vocoder.decode(changed, 60 * 320)
    first = int(np.flatnonzero(np.abs(a - b) > 1e-6)[0])
    assert 26 * 320 <= first <= 30 * 320


@torch.inference_mode()
def test_speakers_differ() -> None:
    vocoder = tiny_vocoder([30])
    codes = units(vocoder, 20)
    b = vocoder.decode(codes, 6400)
    vocoder.speak_as("a")
    with pytest.raises(CodectokError, match="one of a, b"):
        vocoder.speak_as("c")
    assert np.abs(vocoder.decode(codes, 6400) - b).max() > 1e-4


def test_folder(tmp_path: Path) -> None:
    vocoder = tiny_vocoder([30])
    save_vocoder(vocoder, tmp_path)
    again = open_vocoder(tmp_path, [30], 16000)
    codes = units(vocoder, 20)
    assert np.array_equal(again.decode(codes, 6400), vocoder.decode(codes, 6400))
    with pytest.raises(FormatError, match="16000 Hz"):
        open_vocoder(tmp_path, [30], 24000)
    with pytest.raises(FormatError, match="sizes"):
        open_vocoder(tmp_path, [31])
    (tmp_path / "config.json").write_text('{"vocoder_type": "other"}')
    with pytest.raises(FormatError, match="not a unit vocoder"):
        open_vocoder(tmp_path)


def test_config_that_does_not_fit() -> None:
    from dataclasses import asdict

    from tests.contract.subjects import HARMONIC

    with pytest.raises(FormatError, match="speaker 'c'"):
        VocoderConfig([30], [320, 1], ["a"], "c", asdict(HARMONIC))
    with pytest.raises(FormatError, match="multiple"):
        VocoderConfig([30], [320, 1], ["a"], "a", asdict(HARMONIC), ahead=3)
