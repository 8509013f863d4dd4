"""The frame grid: counts by formula for every length, and the convolutions in blocks against the model's own."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from codectok.errors import CodectokError
from codectok.units import load_encoder
from codectok.units.encoders.frontend import BLOCK, POSITIONS_BLOCK, BlockedPositions, ConvStack
from codectok.units.encoders.onednn import PackedLinear, available
from tests.units.conftest import noise

transformers = pytest.importorskip("transformers")
EDGES = (1, 2, 159, 160, 161, 319, 320, 321, 399, 400, 401, 559, 560, 561, 640, 719, 720, 721, 879, 880, 881, 1040)
LENGTHS = (*EDGES, 9999, 10000, 10001, 19919, 19920, 19999, 20000)
GRIDS = {"hubert-base": (320, 400), "wavlm-large": (320, 400), "w2v-bert": (320, 560), "ast": (1600, 2800)}
GRIDS |= {"logmel": (160, 400), "mfcc": (160, 400)}


@pytest.mark.parametrize("padding", ["hop", "none"])
@pytest.mark.parametrize("name", GRIDS)
def test_frame_counts(folders: dict[str, Path], name: str, padding: str) -> None:
    encoder = load_encoder(folders.get(name, name), 0, padding=padding)
    hop, field = GRIDS[name]
    assert (encoder.hop, encoder.receptive_field) == (hop, field)
    assert encoder.offset == (0 if padding == "hop" else (field - hop) // 2)
    for samples in range(1, 20001):
        # By listing: a frame for every hop that has begun, or for every whole receptive field, one at least.
        starts = range(0, samples, hop) if padding == "hop" else range(0, max(1, samples - field + 1), hop)
        assert encoder.num_frames(samples) == len(starts)
    for samples in LENGTHS if name == "hubert-base" else LENGTHS[:: 3 if hop < 1600 else 6]:
        found = encoder.features(noise(samples))
        assert len(found) == encoder.num_frames(samples)
        assert found.isfinite().all()


def test_published_counts(folders: dict[str, Path]) -> None:
    """The utterance 6313-76958-0021 of LibriSpeech, which fairseq publishes the units of, has 596."""
    assert load_encoder(folders["hubert-base"], 0, padding="none").num_frames(190800) == 596


@pytest.mark.parametrize("name", ["hubert-base", "hubert-large", "data2vec"])
def test_blocks_are_the_whole(folders: dict[str, Path], name: str) -> None:
    model: Any = transformers.AutoModel.from_pretrained(folders[name], dtype=torch.float32).eval()
    stack = ConvStack(model.feature_extractor.conv_layers)
    assert (stack.hop, stack.field) == (320, 400)
    for frames in (1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5):
        for more in (0, 1, 319):
            x = torch.from_numpy(noise(400 + (frames - 1) * 320 + more, frames))
            with torch.no_grad():
                expected = model.feature_extractor(x[None])[0].T
                found = stack(x)
            assert len(found) == frames
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("gain", [1e-4, 1.0, 100.0])
def test_group_norm_of_quiet_loud_and_offset_audio(folders: dict[str, Path], gain: float) -> None:
    model: Any = transformers.AutoModel.from_pretrained(folders["hubert-base"], dtype=torch.float32).eval()
    x = torch.from_numpy(gain * (noise(5000) + 1.0)).float()
    with torch.no_grad():
        exact = model.feature_extractor.double()(x.double()[None])[0].T.float()
        found = ConvStack(model.float().feature_extractor.conv_layers)(x)
    torch.testing.assert_close(found, exact, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "frames", [1, 5, POSITIONS_BLOCK - 1, POSITIONS_BLOCK, POSITIONS_BLOCK + 1, 2 * POSITIONS_BLOCK + 9]
)
def test_positions_in_blocks(frames: int) -> None:
    conv = torch.nn.Conv1d(8, 8, 16, padding=8, groups=2)
    x = torch.randn(2, 8, frames)
    with torch.no_grad():
        torch.testing.assert_close(BlockedPositions(conv)(x), conv(x))


@pytest.mark.parametrize("gelu", [False, True])
def test_packed_linear_layers_can_be_copied_and_sent(gelu: bool) -> None:
    if not available():
        pytest.skip("this torch lacks oneDNN's linear layers")
    linear = torch.nn.Linear(24, 40)
    packed = PackedLinear(linear.weight, linear.bias, gelu)
    x = torch.randn(3, 17, 24)
    with torch.no_grad():
        expected = torch.nn.functional.gelu(linear(x)) if gelu else linear(x)
        for layer in (packed, copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
            torch.testing.assert_close(layer(x), expected)


def test_patches_are_averaged_over_frequency(folders: dict[str, Path]) -> None:
    """AST against transformers: tokens in order of frequency, then time, behind two that stand for the class."""
    audio = noise(9000)
    model: Any = transformers.AutoModel.from_pretrained(folders["ast"]).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folders["ast"])
    with torch.no_grad():
        out = model(extractor(audio, sampling_rate=16000, return_tensors="pt").input_values, output_hidden_states=True)
    # 36 bins: 3 patches of 16, 10 apart; 126 filterbank frames: 12.
    for layer, tokens in ((1, out.hidden_states[1]), (3, out.last_hidden_state)):
        expected = tokens[0, 2:].reshape(3, 12, 16).mean(0)
        encoder = load_encoder(folders["ast"], layer, padding="none")
        assert encoder.num_frames(9000) == 4
        torch.testing.assert_close(encoder.features(audio), expected[:4], atol=1e-5, rtol=1e-5)
    assert (encoder.window_frames, encoder.overlap_frames) == (12, 4)
    assert encoder.features(noise(16000 * 5)).shape == (encoder.num_frames(80000), 16)


@pytest.mark.parametrize("padding", ["hop", "none"])
@pytest.mark.parametrize("name", ["logmel", "ast"])
def test_a_click_moves_the_frame_it_is_in_the_middle_of(folders: dict[str, Path], name: str, padding: str) -> None:
    encoder = load_encoder(folders.get(name, name), 0, padding=padding)
    base = noise(20 * encoder.hop) * 0.01
    click, t = base.copy(), 6
    click[encoder.offset + t * encoder.hop + encoder.hop // 2] += 1.0
    a, b = encoder.features(click), encoder.features(base)
    change = (a.exp() - b.exp() if name == "logmel" else a - b).abs().sum(1)
    assert int(change.argmax()) == t


def test_bad_padding_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(CodectokError, match="give one of hop, none"):
        load_encoder(folders["hubert-base"], 0, padding="same")
    with pytest.raises(CodectokError, match="tail_seconds"):
        load_encoder(folders["whisper"], 0, padding="none")


def test_padding_counts_in_the_fingerprint(folders: dict[str, Path]) -> None:
    for name in ("hubert-base", "mfcc"):
        a, b = (load_encoder(folders.get(name, name), 0, padding=p) for p in ("hop", "none"))
        assert a.fingerprint != b.fingerprint
        assert not np.array_equal(a.features(noise(5000))[:14], b.features(noise(5000))[:14])
