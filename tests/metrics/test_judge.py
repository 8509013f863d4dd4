"""The judge: a tiny random Whisper against transformers' own generation, and a real one where there is one."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from codectok import AudioError, read_audio
from codectok.audio import resample
from codectok.metrics import MetricError
from codectok.metrics.judge import WhisperJudge

transformers = pytest.importorskip("transformers")

SPEECH = Path(__file__).parents[2] / "benchmarks/speech"
MARKS = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|fr|>", "<|no|>", "<|translate|>", "<|transcribe|>"]
MARKS += ["<|notimestamps|>", "<|0.00|>", "<|0.02|>"]
LETTERS = list("abcdefghijklmnopqrstuvwxyz ")
VOCABULARY = {text: i for i, text in enumerate(LETTERS + MARKS)}


def write_whisper(folder: Path, multilingual: bool = True, **generation: Any) -> Path:
    """A random Whisper whose letters depend on what it hears."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast, WhisperConfig, WhisperFeatureExtractor

    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<|endoftext|>"))
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=MARKS[0], pad_token=MARKS[0])
    fast.add_special_tokens({"additional_special_tokens": MARKS})
    fast.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    end, start = VOCABULARY[MARKS[0]], VOCABULARY[MARKS[1]]
    config = WhisperConfig(
        vocab_size=len(VOCABULARY),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_target_positions=24,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=start,
    )
    torch.manual_seed(5)
    model: Any = transformers.WhisperForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))
    generation = {"suppress_tokens": [0], "begin_suppress_tokens": [1, end], **generation}
    model.generation_config.update(decoder_start_token_id=start, **generation)
    model.generation_config.is_multilingual = multilingual
    model.generation_config._from_model_config = False  # or loading drops what model configurations do not have
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    tones = [np.sin(np.arange(n) * f) for n, f in ((4000, 0.05), (16000, 0.3), (30000, 1.1))]
    return [(0.3 * t + 0.03 * rng.standard_normal(len(t))).astype(np.float32) for t in tones]


def theirs(folder: Path, clip: np.ndarray, **said: str) -> str:
    """The same by ``generate`` of transformers."""
    extractor: Any = transformers.WhisperFeatureExtractor.from_pretrained(folder)
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    model: Any = transformers.WhisperForConditionalGeneration.from_pretrained(folder)
    config = model.generation_config
    if said:
        config.lang_to_id = {m: VOCABULARY[m] for m in MARKS[2:5]}
    config.task_to_id = {"transcribe": VOCABULARY["<|transcribe|>"], "translate": VOCABULARY["<|translate|>"]}
    config.no_timestamps_token_id = VOCABULARY["<|notimestamps|>"]
    config.suppress_tokens = [*range(VOCABULARY["<|startoftranscript|>"], len(VOCABULARY)), *config.suppress_tokens]
    features = extractor(clip, sampling_rate=16000, return_tensors="pt").input_features
    said = {**said, "task": "transcribe"} if said else {}
    out = model.generate(features, do_sample=False, num_beams=1, max_new_tokens=12, **said)
    return str(tokenizer.decode(out[0], skip_special_tokens=True)).strip()


@pytest.mark.parametrize("language", ["en", "fr"])
def test_texts_are_those_of_transformers(tmp_path: Path, clips: list[np.ndarray], language: str) -> None:
    write_whisper(tmp_path, suppress_tokens=[0, 5], begin_suppress_tokens=[1, 9, VOCABULARY[MARKS[0]]])
    texts = WhisperJudge(tmp_path).transcribe(clips, 16000, [language] * len(clips))
    assert texts == [theirs(tmp_path, clip, language=language) for clip in clips]
    assert all(texts)
    assert len(set(texts)) == len(clips)  # it listens


def test_the_language_is_said(folder: Path, clips: list[np.ndarray]) -> None:
    judge = WhisperJudge(folder)
    texts = {judge.transcribe([clip], 16000, [language])[0] for clip in clips for language in ("en", "fr", "no")}
    assert len(texts) > len(clips)


def test_an_english_only_judge_is_told_no_language(tmp_path: Path, clips: list[np.ndarray]) -> None:
    write_whisper(tmp_path, multilingual=False)
    judge = WhisperJudge(tmp_path)
    assert judge.languages == ("en",)
    assert judge.transcribe(clips[1:2], 16000, ["en-GB"]) == [theirs(tmp_path, clips[1])]
    with pytest.raises(MetricError, match="does not know the language 'fr'"):
        judge.transcribe(clips[:1], 16000, ["fr"])


def test_batches_and_repeats_give_the_same(folder: Path, clips: list[np.ndarray]) -> None:
    languages = ["en", "fr", "en"]
    one = WhisperJudge(folder).transcribe(clips, 16000, languages)
    assert WhisperJudge(folder, batch_size=2).transcribe(clips, 16000, languages) == one
    assert WhisperJudge(folder, batch_size=3).transcribe(clips[::-1], 16000, languages[::-1]) == one[::-1]


def test_another_rate_is_resampled(folder: Path, clips: list[np.ndarray]) -> None:
    judge = WhisperJudge(folder)
    low = np.sin(np.arange(8000) * 0.1).astype(np.float32)
    assert judge.transcribe([low], 8000, ["en"]) == judge.transcribe([resample(low, 8000, 16000)], 16000, ["en"])


def test_languages(folder: Path) -> None:
    judge = WhisperJudge(folder)
    assert judge.languages == ("en", "fr", "no")
    assert [judge.language(tag) for tag in ("fr-CA", "en_GB", "EN", "nb", "no")] == ["fr", "en", "en", "no", "no"]
    for tag in ("de", "", "wa", "frr"):
        with pytest.raises(MetricError, match="does not know the language"):
            judge.language(tag)


def test_what_it_cannot_hear_is_an_error(folder: Path) -> None:
    judge, second = WhisperJudge(folder), np.full(16000, 0.1, np.float32)
    with pytest.raises(MetricError, match=r"clip of 31.0 s.*30 s at most"):
        judge.transcribe([np.tile(second, 31)], 16000, ["en"])
    with pytest.raises(MetricError, match="one language a clip"):
        judge.transcribe([second], 16000, [])
    with pytest.raises(AudioError):
        judge.transcribe([second * np.nan], 16000, ["en"])
    assert judge.transcribe([], 16000, []) == []


def test_what_is_no_whisper_is_an_error(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(MetricError, match="is not a Whisper folder or hub id"):
        WhisperJudge(tmp_path / "nothing")
    with pytest.raises(MetricError, match="batch_size"):
        WhisperJudge(folder, batch_size=0)


class Script:
    """In place of a Whisper: prefers, at each step, the tokens of a list in their order; one list a clip."""

    def __init__(self, preferences: list[list[list[str]]]) -> None:
        self.preferences, self.steps = preferences, 0
        self.config = SimpleNamespace(max_target_positions=24)

    def get_encoder(self) -> Any:
        return lambda features: features

    def __call__(self, **_: Any) -> Any:
        scores = torch.zeros(len(self.preferences), 1, len(VOCABULARY))
        for clip, steps in enumerate(self.preferences):
            for rank, text in enumerate(steps[min(self.steps, len(steps) - 1)]):
                scores[clip, 0, VOCABULARY[text]] = 10 - rank
        self.steps += 1
        return SimpleNamespace(logits=scores, past_key_values=None)


def test_a_text_ends_once_and_holds_no_marks(folder: Path, clips: list[np.ndarray]) -> None:
    judge, end = WhisperJudge(folder, batch_size=3), MARKS[0]
    script = Script(
        [
            [["<|0.00|>", "c"], ["d"], [end], ["x"]],  # no timestamp, nothing after the end
            [[end, "b", "e"], ["<|en|>", "a", "f"], ["g"], [end]],  # neither the end nor b first, a never
            [["h"]],  # goes on until the limit
        ]
    )
    judge._model = script
    assert judge.transcribe(clips, 16000, ["en"] * 3) == ["cd", "efg", "h" * 12]
    script.preferences, script.steps = [[["c"], [end]]] * 3, 0
    assert judge.transcribe(clips, 16000, ["en"] * 3) == ["c"] * 3
    assert script.steps == 2  # and no more than it takes


@pytest.mark.slow
@pytest.mark.skipif("CODECTOK_WHISPER" not in os.environ, reason="CODECTOK_WHISPER names no folder of a real Whisper")
def test_a_real_judge_understands() -> None:
    from codectok.metrics.intelligibility import error_rate, word_edits

    with open(SPEECH / "manifest.tsv", newline="") as file:
        rows = [r for r in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if r["transcript"]]
    judge = WhisperJudge(os.environ["CODECTOK_WHISPER"])
    edits = []
    for row in rows:
        samples, rate = read_audio(SPEECH / row["path"])
        edits.append(word_edits(row["transcript"], judge.transcribe([samples], rate, [row["language"]])[0]))
    assert error_rate(edits).mean < 0.25
