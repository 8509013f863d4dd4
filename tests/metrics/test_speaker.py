"""Speaker similarity: against the encoders' own packages, and voices that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from codectok import read_audio
from codectok.audio import resample
from codectok.metrics import MetricError, get_metric, speaker

RATE = 16000
SPEECH = Path(__file__).parents[2] / "benchmarks/speech"


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    return resample(*read_audio(SPEECH / "allison/0029-conf-getconfno.opus"), RATE)


@pytest.fixture(scope="module")
def other_voice() -> np.ndarray:
    return resample(*read_audio(SPEECH / "horizons-de/0002-1.opus"), RATE)


def test_one_voice_is_nearer_to_itself_than_to_another(clip, other_voice):
    pytest.importorskip("resemblyzer")
    function = get_metric("spk_sim")
    second = resample(*read_audio(SPEECH / "allison/0642-transfer.opus"), RATE)
    assert function(clip, clip, RATE) == pytest.approx(1.0, abs=1e-5)
    assert function(clip, second, RATE) > function(clip, other_voice, RATE) + 0.1  # of unequal lengths
    with pytest.raises(MetricError):
        function(clip, np.zeros_like(clip), RATE)


def test_the_default_encoder_is_what_its_package_says(clip, other_voice):
    resemblyzer = pytest.importorskip("resemblyzer")
    model = resemblyzer.VoiceEncoder("cpu", verbose=False)
    vectors = [model.embed_utterance(resemblyzer.preprocess_wav(x, RATE)) for x in (clip, other_voice)]
    assert get_metric("spk_sim")(clip, other_voice, RATE) == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-4)


def test_x_vectors_of_a_transformers_folder(tmp_path, clip, other_voice):
    transformers = pytest.importorskip("transformers")
    config = transformers.WavLMConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8, 8),
        conv_kernel=(10, 8), conv_stride=(160, 2), num_feat_extract_layers=2, num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2, tdnn_dim=(8, 8), tdnn_kernel=(3, 1), tdnn_dilation=(1, 1),
        xvector_output_dim=6,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.WavLMForXVector(config).eval()
    model.save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    encoder = speaker.open_speaker_encoder(str(tmp_path))
    with torch.inference_mode():
        a, b = (
            model(torch.from_numpy((x - x.mean()) / np.sqrt(x.var() + 1e-7))[None]).embeddings[0]
            for x in (clip, other_voice)
        )
    expected = float(torch.nn.functional.cosine_similarity(a, b, dim=0))
    found = speaker.speaker_similarity(clip, other_voice, RATE, encoder)
    assert found == pytest.approx(expected, abs=1e-4)
    assert encoder.name == str(tmp_path)


def test_what_is_no_speaker_model_is_said(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(MetricError, match="no speaker model"):
        speaker.open_speaker_encoder(str(tmp_path / "nothing"))
