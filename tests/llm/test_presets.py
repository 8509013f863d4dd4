"""Presets: names and ids as the published systems have them, written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.errors import FormatError, UnknownNameError
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.parse import parse
from codectok.llm.vocab.presets import PRESETS, preset

EVERY: dict[str, AudioVocab] = {name: preset(name) for name in PRESETS if name != "codec-bpe"}
EVERY |= {
    "codec-bpe": preset("codec-bpe", base_id=128256),
    "anygpt-music": preset("anygpt", modality="music"),
    "vita-audio-plus": preset("vita-audio", plus=True),
}

# fmt: off
LITERALS: dict[str, dict[str, int]] = {
    "speechgpt": {
        "<0>": 32000, "<661>": 32661, "<999>": 32999, "<sosp>": 33000, "<eosp>": 33001,
        "[Human]": 33002, "[SpeechGPT]": 33003, "<eoh>": 33004, "<eos>": 33005,
    },
    "anygpt": {
        "[Human]": 32000, "[MMGPT]": 32001, "<eoh>": 32002, "<eos>": 32003,
        "<🗣️0>": 40198, "<🗣️12>": 40210, "<🗣️1023>": 41221, "<sosp>": 41222, "<eosp>": 41223,
    },
    "anygpt-music": {
        "<🎶0>": 41224, "<🎶2049>": 43273, "<🎶8191>": 49415, "<somu>": 49416, "<eomu>": 49417,
        "<-Res->": 49418, "<-Ins->": 49419,
    },
    "orpheus": {
        "<custom_token_0>": 128256, "<custom_token_1>": 128257, "<custom_token_2>": 128258,
        "<custom_token_3>": 128259, "<custom_token_4>": 128260, "<custom_token_5>": 128261,
        "<custom_token_6>": 128262, "<custom_token_7>": 128263, "<custom_token_10>": 128266,
        "<custom_token_4106>": 132362, "<custom_token_28682>": 156938, "<|audio|>": 156939,
    },
    "llama-mimi": {
        "<0_0>": 128256, "<0_3>": 128259, "<1_0>": 128260, "<1049_0>": 132452, "<1700_1>": 135057,
        "<2047_3>": 136447, "<audio>": 136448, "</audio>": 136449,
    },
    "llasa": {
        "<|TEXT_GENERATION_START|>": 128256, "<|TEXT_GENERATION_END|>": 128257,
        "<|TEXT_UNDERSTANDING_START|>": 128258, "<|TEXT_UNDERSTANDING_END|>": 128259,
        "<|SPEECH_GENERATION_START|>": 128260, "<|SPEECH_GENERATION_END|>": 128261,
        "<|SPEECH_UNDERSTANDING_START|>": 128262, "<|SPEECH_UNDERSTANDING_END|>": 128263,
        "<|s_0|>": 128264, "<|s_65535|>": 193799,
    },
    "spark-tts": {
        "<|bicodec_global_0|>": 151665, "<|bicodec_global_4095|>": 155760, "<|bicodec_semantic_0|>": 155761,
        "<|bicodec_semantic_8191|>": 163952, "<|pitch_value_0|>": 163953, "<|emotion_100|>": 165135,
        "<|task_vc|>": 165136, "<|task_tts|>": 165137, "<|task_edit|>": 165145,
        "<|start_content|>": 165146, "<|start_acoustic_token|>": 165149, "<|start_global_token|>": 165150,
        "<|start_semantic_token|>": 165151, "<|end_content|>": 165152, "<|end_style_label|>": 165153,
        "<|end_acoustic_token|>": 165155, "<|end_global_token|>": 165156, "<|end_semantic_token|>": 165157,
    },
    "glm-4-voice": {
        "<|audio_0|>": 152353, "<|audio_16383|>": 168736, "<|begin_of_audio|>": 151343, "<|end_of_audio|>": 151344,
        "<|system|>": 151335, "<|user|>": 151336, "<|assistant|>": 151337,
    },
    "vita-audio": {
        "<|begin_of_image|>": 151665, "<|end_of_image|>": 151666, "<|context_of_image|>": 151667,
        "<|begin_of_audio|>": 151674, "<|end_of_audio|>": 151675, "<|begin_of_quad|>": 151676,
        "<|end_of_box|>": 151681, "<|image|>": 151682, "<|audio|>": 151684, "<|audio_0|>": 151685,
        "<|audio_16383|>": 168068,
    },
    "vita-audio-plus": {"<|context_of_audio|>": 151676, "<|audio|>": 151685, "<|audio_0|>": 151686},
    "cosyvoice2": {
        "<|s_0|>": 151663, "<|s_6560|>": 158223, "<|eos1|>": 158224, "<|eos2|>": 158225, "<|eos3|>": 158226,
        "<|sos|>": 158227, "<|task_id|>": 158228,
    },
    "spirit-lm": {
        "[Text]": 32000, "[Speech]": 32001, "[Hu0]": 32002, "[Hu99]": 32101, "[Hu500]": 32502, "[Pi0]": 32503,
        "[Pi13]": 32516, "[Pi63]": 32566, "[St0]": 32567, "[St81]": 32648, "[St99]": 32666,
    },
    "codec-bpe": {"<audio>": 128256, "</audio>": 128257, "\u4e00": 128258, "\u4e01": 128259, "\u5200": 129282},
}
# fmt: on


@pytest.mark.parametrize("name", LITERALS)
def test_names_and_ids_written_out(name: str) -> None:
    vocab = EVERY[name]
    for token, id in LITERALS[name].items():
        assert vocab.id(token) == id, token
        assert vocab.token(id) == token


def test_mini_omni_is_layershift() -> None:
    """layershift(id, layer) = id + 152000 + 4160 * layer."""
    vocab = EVERY["mini-omni"]
    codes = np.array([[5]] * 7)
    assert vocab.ids(codes).ravel().tolist() == [5 + 152000 + layer * 4160 for layer in range(7)]
    assert (vocab.markers["end_2"], vocab.markers["pad_2"], vocab.markers["answer_6"]) == (164416, 164417, 181059)
    assert (vocab.markers["text_end"], vocab.markers["text_asr"]) == (151936, 151940)
    assert vocab.end_id <= vocab.base_id + 7 * 4160 == vocab.base_id + vocab.size
    with pytest.raises(FormatError, match="ids without names"):
        vocab.tokens()


def test_codec_bpe_is_a_character_a_code() -> None:
    """chr(0x4E00 + code + k * codebook_size), frame after frame; 0xE000 where the surrogates are in the way."""
    vocab = EVERY["codec-bpe"]
    ids = vocab.flatten(vocab.ids(np.array([[1], [2], [3], [1023]])))
    assert "".join(vocab.token(int(id)) for id in ids) == "\u4e01\u5202\u5603\u5dff"
    with pytest.raises(FormatError, match="0xe000"):
        preset("codec-bpe", base_id=0, num_codebooks=32, codebook_size=2048)
    large = preset("codec-bpe", base_id=0, num_codebooks=1, codebook_size=65536, first_character=0xE000)
    assert large.token(2 + 65535) == chr(0xE000 + 65535)


def test_orpheus_numbers_a_frame_as_its_decoder_does() -> None:
    """code = number - 10 - (position % 7) * 4096 of <custom_token_{number}>."""
    vocab = EVERY["orpheus"]
    codes = np.arange(14).reshape(2, 7).T
    ids = vocab.flatten(vocab.ids(codes))
    numbers = [int(vocab.token(int(id))[len("<custom_token_") : -1]) for id in ids]
    assert [n - 10 - (i % 7) * 4096 for i, n in enumerate(numbers)] == list(range(14))


def test_llama_mimi_frame() -> None:
    vocab = EVERY["llama-mimi"]
    ids = vocab.flatten(vocab.ids(np.array([[1049], [1700], [3], [7]])))
    assert "".join(vocab.token(int(id)) for id in ids) == "<1049_0><1700_1><3_2><7_3>"


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=8, deadline=None)
@given(frames=st.integers(0, 200), seed=st.integers(0, 2**32))
def test_ids_to_codes_to_ids_is_exact(name: str, frames: int, seed: int) -> None:
    vocab, rng = EVERY[name], np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, n, frames) for n in vocab.codebook_sizes])
    ids = vocab.ids(codes)
    assert np.array_equal(vocab.codes(ids), codes)
    assert np.array_equal(vocab.ids(vocab.codes(ids)), ids)
    assert vocab.owns(ids).all()
    if vocab.framed:
        found, report = parse(vocab, vocab.flatten(ids))
        assert torch.equal(found, torch.from_numpy(codes))
        assert report.clean
        assert report.frames == frames


@pytest.mark.parametrize("name", EVERY)
def test_every_name_reads_back(name: str) -> None:
    vocab = EVERY[name]
    assert AudioVocab.from_dict(vocab.to_dict()) == vocab
    if vocab.templates:
        entries = vocab.entries()
        assert len({entry.token for entry in entries}) == len(entries) == len({entry.id for entry in entries})
        assert len(vocab.tokens()) == vocab.size
        assert all(vocab.id(e.token) == e.id for e in entries[:: max(1, len(entries) // 200)])


def test_padded_rows() -> None:
    assert {n: EVERY[n].rows for n in ("orpheus", "vita-audio", "vita-audio-plus", "cosyvoice2", "llasa")} == {
        "orpheus": 156940,
        "vita-audio": 168072,
        "vita-audio-plus": 168072,
        "cosyvoice2": 158336,
        "llasa": 193800,
    }


def test_unknown_presets_and_options() -> None:
    with pytest.raises(UnknownNameError, match="there are speechgpt"):
        preset("whisper")
    with pytest.raises(FormatError, match="unexpected keyword"):
        preset("orpheus", codebooks=3)
    with pytest.raises(FormatError, match="speech and music"):
        preset("anygpt", modality="image")
