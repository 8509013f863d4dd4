"""The unit codec: the contract, how far it looks ahead, and its folder."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from codectok import CodectokError, FormatError, load
from codectok.codec.folder import save_codec
from codectok.codec.tokenizer import CodecTokenizer
from codectok.testing import CLAUSES, voice
from codectok.units.student import UnitCodecConfig
from codectok.units.student.encoder import LogMel
from tests.units.student_subject import CONFIG, tiny_codec, tiny_tokenizer

FRAME = CONFIG.frame_size


@cache
def built() -> CodecTokenizer:
    return tiny_tokenizer()


@pytest.mark.parametrize("clause", CLAUSES)
def test_contract(clause: str) -> None:
    CLAUSES[clause](built())


@pytest.mark.parametrize("clause", CLAUSES)
def test_contract_without_vocoder(clause: str) -> None:
    codec = tiny_codec()
    codec.vocoder = None
    CLAUSES[clause](CodecTokenizer(codec, "units only", "0" * 32, block_seconds=0.5))


def test_units_vary() -> None:
    """Else the contract would prove nothing."""
    codes = built().encode(voice(16000 * 4, 16000), 16000).codes
    assert len(codes.unique()) > 15


@torch.no_grad()
def test_a_latent_sees_exactly_so_far_ahead() -> None:
    codec, t = tiny_codec(), 20
    audio = torch.from_numpy(voice(FRAME * 60, 16000))[None]
    before = codec.encode_step(audio, None, True)[0]
    last = (t + 1 + CONFIG.ahead) * FRAME  # of the samples that it may see
    for at, seen in ((last - FRAME // 2, True), (last, False)):
        changed = audio.clone()
        changed[:, at:] = 0.3
        after = codec.encode_step(changed, None, True)[0]
        assert torch.allclose(after[:, :t], before[:, :t], atol=1e-6)
        assert torch.allclose(after[:, t], before[:, t], atol=1e-6) != seen
    past = audio.clone()
    past[:, : FRAME * 5] = 0.3
    assert not torch.allclose(codec.encode_step(past, None, True)[0][:, 8], before[:, 8], atol=1e-6)


@torch.no_grad()
def test_log_mel_against_the_formula() -> None:
    """Frame by frame from the definition, in double precision."""
    config = replace(CONFIG, mels=9)
    logmel, audio = LogMel(config), torch.from_numpy(voice(1600, 16000))
    found = logmel.step(audio[None], None)[0][0].double()
    padded = torch.cat([torch.zeros(240), audio]).double()
    for m in range(10):
        windowed = padded[m * 160 : m * 160 + 400] * torch.hann_window(400).double()
        power = torch.fft.rfft(windowed, 512).abs().square()
        expected = torch.log10(power @ logmel.mel.double() + 1e-6) + 2
        assert torch.allclose(found[m], expected, atol=1e-4)


def test_folder_round_trip(tmp_path: Path) -> None:
    save_codec(tiny_codec(), tmp_path, torch.float16)
    assert (tmp_path / "vocoder" / "model.safetensors").is_file()
    tok = load(str(tmp_path))
    assert tok.can_decode
    audio = voice(8000, 16000)
    tokens = tok.encode(audio, 16000)
    assert tok.decode(tokens).shape == audio.shape
    tok.save_pretrained(tmp_path / "again")
    again = load(str(tmp_path / "again"))
    assert again.encode(audio, 16000) == tokens, "what was stored in half precision stays so: the fingerprint counts it"


def test_the_vocoder_is_no_part_of_the_fingerprint(tmp_path: Path) -> None:
    codec = tiny_codec()
    save_codec(codec, tmp_path / "with")
    codec.vocoder = None
    save_codec(codec, tmp_path / "without")
    speaking, mute = load(str(tmp_path / "with")), load(str(tmp_path / "without"))
    assert speaking.fingerprint == mute.fingerprint
    tokens = mute.encode(voice(4000, 16000), 16000)
    assert not mute.can_decode
    with pytest.raises(CodectokError, match="no decoder or vocoder"):
        mute.decode(tokens)
    assert speaking.decode(tokens).shape == (4000,)


def test_a_vocoder_for_other_units_is_refused(tmp_path: Path) -> None:
    codec = tiny_codec(replace(CONFIG, units=40))
    save_codec(codec, tmp_path / "other")
    save_codec(tiny_codec(), tmp_path / "this")
    (tmp_path / "other" / "vocoder").rename(tmp_path / "vocoder")
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "vocoder" / name).replace(tmp_path / "this" / "vocoder" / name)
    with pytest.raises(FormatError, match="not \\[50\\]"):
        load(str(tmp_path / "this"))


@pytest.mark.parametrize("change", [{"depth": 0}, {"ahead": -1}, {"units": 0}, {"mel_window": 100}])
def test_sizes_out_of_range(change: dict[str, object]) -> None:
    with pytest.raises(FormatError, match="out of range"):
        UnitCodecConfig(**change)  # type: ignore[arg-type]
