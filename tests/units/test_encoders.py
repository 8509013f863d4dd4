"""Encoders: the frame grid, equality with transformers' own hidden states, early exit, windows, errors."""

from __future__ import annotations

import os
import shutil
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.audio.windows import windows
from codectok.errors import AudioError, CodectokError
from codectok.units import SpeechEncoder, load_encoder
from tests.units.conftest import LAYERS, MAKERS, noise

transformers = pytest.importorskip("transformers")


def reference(folder: Path, audio: np.ndarray, padding: str = "hop") -> tuple[torch.Tensor, ...]:
    """Hidden states by transformers (the last through the final norm) from inputs padded as the docstrings say."""
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    model: Any = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    field = 560 if model.config.model_type == "wav2vec2-bert" else 400
    frames = -(-len(audio) // 320) if padding == "hop" else max(1, (len(audio) - field) // 320 + 1)
    if padding == "none" and field == 560:
        audio = np.pad(audio, (0, max(0, field - len(audio))))
    elif field == 560:
        audio = np.pad(audio, (120, frames * 320 + 120 - len(audio)))
    inputs = extractor(audio, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        if model.config.model_type == "whisper":
            out = model.get_encoder()(inputs.input_features, output_hidden_states=True)
        elif model.config.model_type == "wav2vec2-bert":
            out = model(**inputs, output_hidden_states=True)
        else:
            ends = (40, frames * 320 + 40 - len(audio)) if padding == "hop" else (0, max(0, 400 - len(audio)))
            x = torch.nn.functional.pad(inputs.input_values, ends)
            out = model(x, output_hidden_states=True)
    # Whether the last of the hidden states has been through the final norm differs between versions.
    return tuple(h[0, :frames] for h in (*out.hidden_states[:-1], out.last_hidden_state))


@pytest.mark.parametrize("padding", ["hop", "none"])
@pytest.mark.parametrize("name", [*MAKERS, "unispeech-sat"])
def test_every_layer_equals_transformers(folders: dict[str, Path], name: str, padding: str) -> None:
    if name == "whisper" and padding == "none":
        pytest.skip("Whisper's audio is always followed by silence")
    audio = noise(20011)
    expected = reference(folders[name], audio, padding)
    assert len(expected) == LAYERS + 1
    for layer in range(LAYERS + 1):
        encoder = load_encoder(folders[name], layer, padding=padding)
        found = encoder.features(audio)
        assert found.dtype == torch.float32
        assert found.shape == expected[layer].shape == (encoder.num_frames(20011), encoder.dim)
        assert encoder.frame_rate == Fraction(50)
        torch.testing.assert_close(found, expected[layer], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(expected[LAYERS], expected[LAYERS - 1], atol=1e-2)


@pytest.fixture(scope="module")
def encoders(folders: dict[str, Path]) -> dict[str, SpeechEncoder]:
    short = {"whisper": {"tail_seconds": 0.5}}
    return {name: load_encoder(folders[name], 1, **short.get(name, {})) for name in MAKERS}  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["hubert-base", "wavlm-large", "w2v-bert", "whisper"])
@settings(max_examples=6, deadline=None)
@given(samples=st.one_of(st.integers(1, 1000), st.integers(16000, 80000), st.sampled_from([32000, 319, 320, 321])))
def test_one_frame_for_every_hop(encoders: dict[str, SpeechEncoder], name: str, samples: int) -> None:
    found = encoders[name].features(noise(samples))
    assert len(found) == encoders[name].num_frames(samples) == -(-samples // 320)
    assert found.isfinite().all()


@pytest.mark.parametrize("name", ["hubert-large", "w2v-bert", "whisper"])
def test_frames_are_centred_where_they_say(folders: dict[str, Path], name: str) -> None:
    """A click at the middle of frame t's span changes frame t most, and its neighbours alike."""
    encoder = load_encoder(folders[name], 0, tail_seconds=0.2 if name == "whisper" else None)
    if name == "hubert-large":  # without the convolution over 16 frames that encodes positions
        encoder.model.encoder.pos_conv_embed = Zero()  # type: ignore[union-attr]
    t, base = 20, noise(16000) * 0.01
    click = base.copy()
    click[encoder.offset + t * 320 + 160] += 1.0
    # By window, without the normalisation over the utterance, through which a click reaches every frame.
    if name == "w2v-bert":
        encoder.extractor = partial(encoder.extractor, do_normalize_per_mel_bins=False)  # type: ignore[attr-defined]
    a, b = (encoder._run([encoder._prepare(x)])[0] for x in (click, base))
    change = (a - b).abs().sum(1)
    assert int(change.argmax()) == t
    assert change[t - 3 : t - 1].max() < 0.3 * change[t]
    assert change[t + 2 : t + 4].max() < 0.3 * change[t]
    near = change[t - 3 : t + 4]
    assert float((near * torch.arange(-3.0, 4.0)).sum() / near.sum()) == pytest.approx(0, abs=0.15)


class Zero(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x)


@pytest.mark.parametrize("name", MAKERS)
def test_batch_equals_single(encoders: dict[str, SpeechEncoder], name: str) -> None:
    clips = [noise(n, n) for n in (5000, 333, 16001)]
    for one, many in zip(clips, encoders[name].features_batch(clips), strict=True):
        assert torch.equal(encoders[name].features(one), many)


@pytest.mark.parametrize("name", ["hubert-base", "hubert-large", "wav2vec2-base"])
def test_normalisation_is_of_the_utterance(encoders: dict[str, SpeechEncoder], name: str) -> None:
    audio = noise(16000)
    torch.testing.assert_close(
        encoders[name].features(audio), encoders[name].features(audio * 0.25 + 0.1), atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize("name", MAKERS)
def test_only_layers_up_to_the_chosen_are_kept(folders: dict[str, Path], name: str) -> None:
    sizes = [sum(p.numel() for p in load_encoder(folders[name], i).model.parameters()) for i in (0, 1, LAYERS)]
    assert sizes[0] < sizes[1] < sizes[2]
    assert not hasattr(load_encoder(folders[name], 0).model, "decoder")


@pytest.mark.parametrize("name", ["hubert-base", "whisper"])
def test_negative_layers_count_from_the_end(folders: dict[str, Path], name: str) -> None:
    for layer in range(LAYERS + 1):
        a, b = load_encoder(folders[name], layer), load_encoder(folders[name], layer - LAYERS - 1)
        assert a.layer == b.layer == layer
        assert a.fingerprint == b.fingerprint
    for wrong in (LAYERS + 1, -LAYERS - 2):
        with pytest.raises(CodectokError, match="give 0 to 3, or -1 to -4"):
            load_encoder(folders[name], wrong)


@settings(max_examples=200)
@given(frames=st.integers(1, 400), size=st.integers(1, 60), data=st.data())
def test_windows_cover_every_frame_once_with_context(frames: int, size: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, size - 1))
    found = windows(frames, size, overlap)
    assert [t for w in found for t in range(w.keep_from, w.keep_to)] == list(range(frames))
    for w in found:
        assert 0 <= w.start <= w.keep_from <= w.keep_to <= w.stop <= frames
        assert w.stop - w.start <= size
        assert w.start == 0 or w.keep_from - w.start >= overlap // 2
        assert w.stop == frames or w.stop - w.keep_to >= overlap // 2


@pytest.mark.parametrize("name", ["wavlm-large", "whisper"])
def test_long_audio_goes_by_windows(folders: dict[str, Path], name: str) -> None:
    tail = 0.1 if name == "whisper" else None
    encoder = load_encoder(folders[name], 2, window_seconds=0.4, overlap_seconds=0.2, tail_seconds=tail)
    audio = noise(16007)
    found = encoder.features(audio)
    assert len(found) == 51
    scaled = encoder._scale(audio)
    for start, first, last in ((0, 0, 15), (10, 15, 25), (20, 25, 35), (30, 35, 45), (40, 45, 51)):
        with torch.inference_mode():
            alone = encoder._run([encoder._prepare(scaled[start * 320 : (start + 20) * 320])])[0]
        torch.testing.assert_close(found[first:last], alone[first - start : last - start])


@pytest.mark.parametrize("name", ["hubert-base", "wavlm-large", "w2v-bert"])
def test_blocks_join_to_the_features(folders: dict[str, Path], name: str) -> None:
    encoder = load_encoder(folders[name], [1, 2], window_seconds=0.4, overlap_seconds=0.2, padding="none")
    blocks = list(encoder.feature_blocks(noise(16007)))
    assert len(blocks) > 3
    assert not blocks[0].is_inference()
    assert torch.equal(torch.cat(blocks), encoder.features(noise(16007)))


def test_whisper_beyond_its_positions(folders: dict[str, Path]) -> None:
    encoder = load_encoder(folders["whisper"], 1)
    assert (encoder.window_frames, encoder.overlap_frames) == (1500, 500)
    assert encoder.features(noise(16000 * 31)).shape == (1550, 16)
    with pytest.raises(CodectokError, match="at most 30 s"):
        load_encoder(folders["whisper"], 1, window_seconds=31.0)


def test_whisper_with_less_silence_is_close_and_another_encoder(folders: dict[str, Path]) -> None:
    whole, cut = (load_encoder(folders["whisper"], 2, tail_seconds=t) for t in (None, 2.0))
    assert whole.fingerprint != cut.fingerprint
    a, b = whole.features(noise(16000)), cut.features(noise(16000))
    assert not torch.equal(a, b)
    assert torch.cosine_similarity(a, b, -1).min() > 0.9


def test_the_fingerprint_is_of_what_decides_the_features(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = folders["hubert-base"]
    base = load_encoder(folder, 2).fingerprint
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    assert load_encoder(moved, 2, dtype="bfloat16").fingerprint == base
    assert load_encoder(folder, 1).fingerprint != base
    assert load_encoder(folder, 2, window_seconds=30).fingerprint != base
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(moved)
    assert load_encoder(moved, 2).fingerprint != base


@pytest.mark.parametrize("name", MAKERS)
def test_bfloat16_is_close(folders: dict[str, Path], name: str) -> None:
    tail = 0.5 if name == "whisper" else None
    full, half = (load_encoder(folders[name], 2, dtype=d, tail_seconds=tail) for d in ("float32", "bfloat16"))
    a, b = full.features(noise(16000)), half.features(noise(16000))
    assert b.dtype == torch.float32
    assert not torch.equal(a, b)
    assert torch.cosine_similarity(a, b, -1).mean() > 0.99


@pytest.mark.parametrize(
    ("audio", "message"),
    [(np.zeros(0), "S >= 1"), (np.zeros((2, 9)), r"\(2, 9\)"), (np.array([0.0, np.nan]), "NaN")],
)
def test_bad_audio_is_refused(encoders: dict[str, SpeechEncoder], audio: np.ndarray, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        encoders["hubert-base"].features(audio)


@pytest.mark.parametrize(
    "options",
    [{"dtype": "float16"}, {"tail_seconds": 1.0}, {"window_seconds": 5.0}, {"overlap_seconds": -1.0}],
)
def test_bad_options_are_refused(folders: dict[str, Path], options: dict[str, Any]) -> None:
    with pytest.raises(CodectokError):
        load_encoder(folders["hubert-base"], 1, **options)


@pytest.mark.skipif("CODECTOK_WHISPER" not in os.environ, reason="CODECTOK_WHISPER names no folder of Whisper")
def test_real_whisper() -> None:
    folder = Path(os.environ["CODECTOK_WHISPER"])
    audio = noise(16000 * 2 + 11)
    expected = reference(folder, audio)
    for layer in (4, len(expected) - 1):
        found = load_encoder(folder, layer).features(audio)
        torch.testing.assert_close(found, expected[layer], atol=1e-3, rtol=1e-3)
