"""STFT distance, F0 correlation, opinion scores and speaker similarity: against oracles and cases done by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from codectok import read_audio
from codectok.audio import resample
from codectok.metrics import MetricError, MetricUnavailable, get_metric, metric_names, opinion, speaker
from codectok.metrics.registry import Metric

RATE = 16000
SPEECH = Path(__file__).parents[2] / "benchmarks/speech"


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    return resample(*read_audio(SPEECH / "allison/0029-conf-getconfno.opus"), RATE)


def noisy(x: np.ndarray, snr_db: float) -> np.ndarray:
    noise = np.random.default_rng(1).standard_normal(len(x))
    noise *= np.sqrt((x**2).mean() / (noise**2).mean()) * 10 ** (-snr_db / 20)
    return (x + noise).astype(np.float32)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# -- the registry ----------------------------------------------------------------------------------------------------


def test_all_the_metrics_of_the_harness_are_there():
    wanted = "wer cer per accuracy f1 eer mindcf bleu pesq stoi estoi visqol si_sdr mel stft f0_corr dnsmos"
    wanted += " distillmos spk_sim dwer dcer abx pnmi bitrate entropy_bitrate token_rate rtf parameters macs"
    assert set(wanted.split()) <= set(metric_names())


@pytest.mark.parametrize("name", metric_names())
def test_an_entry_says_all_that_a_table_needs(name):
    metric = get_metric(name)
    assert metric.label
    assert metric.reference
    assert metric.kind in ("pair", "reference-free", "corpus", "system")
    assert (metric.function is None) == (metric.kind == "system")
    assert metric_names(metric.kind).count(name) == 1


def test_kinds_say_what_they_can_be_asked():
    with pytest.raises(MetricError, match="property"):
        get_metric("bitrate")(np.ones(9), np.ones(9), RATE)
    with pytest.raises(MetricError, match="clip by clip"):
        get_metric("wer").of_clip(np.ones(9), np.ones(9), RATE)
    free = Metric("x", "x", lambda estimate, rate: float(estimate.sum() + rate), "", True, "", kind="reference-free")
    assert free.of_clip(np.zeros(3), np.full(4, 0.5), 10) == 12.0


def test_corpus_metrics_are_found_where_they_stand():
    assert get_metric("wer")(["a b c d", "e"], ["a b x d", "e"]) == pytest.approx(20.0)  # 1 of 5 words
    assert get_metric("accuracy")(["a", "b", "b", "a"], ["a", "b", "a", "a"]) == pytest.approx(75.0)
    for name in metric_names("corpus"):
        metric = get_metric(name)
        module, function = str(metric.function).split(":")
        assert callable(getattr(__import__(module, fromlist=[function]), function))


# -- STFT distance ---------------------------------------------------------------------------------------------------


def test_stft_distance_is_what_librosa_makes_it(clip):
    librosa = pytest.importorskip("librosa")
    other = noisy(clip, 10)
    expected = 0.0
    for window in (2048, 512):
        first, second = (
            np.abs(librosa.stft(x.astype(np.float64), n_fft=window, hop_length=window // 4, pad_mode="reflect"))
            for x in (clip, other)
        )
        expected += np.abs(first - second).mean()
        expected += np.abs(np.log10(np.maximum(first, 1e-5) ** 2) - np.log10(np.maximum(second, 1e-5) ** 2)).mean()
    assert get_metric("stft")(clip, other, RATE) == pytest.approx(expected, rel=1e-5)


def test_stft_distance_of_half_the_level():
    noise = np.random.default_rng(0).standard_normal(RATE)
    magnitude = 0.0
    for window in (2048, 512):
        shape = torch.hann_window(window, dtype=torch.double)
        spectrum = torch.stft(torch.from_numpy(noise), window, window // 4, window=shape, return_complex=True)
        magnitude += float(spectrum.abs().mean())
    # Twice log10 of a half squared, and half the mean magnitude of each window.
    expected = 2 * np.log10(4) + 0.5 * magnitude
    assert get_metric("stft")(noise, 0.5 * noise, RATE) == pytest.approx(expected, rel=1e-5)


def test_stft_distance_of_less_than_half_a_window_is_an_error():
    with pytest.raises(MetricError, match="half a window"):
        get_metric("stft")(np.ones(1024), np.ones(1024), RATE)


# -- F0 correlation --------------------------------------------------------------------------------------------------


def voiced(f0: np.ndarray) -> np.ndarray:
    """Harmonics of a pitch in Hz, one value a sample."""
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    return (0.1 * sum(np.sin(k * phase) / k for k in range(1, 12))).astype(np.float32)


def test_f0_correlation_of_known_melodies():
    pytest.importorskip("pyworld")
    t = np.arange(2 * RATE) / RATE
    rising = voiced(120 + 30 * t)
    function = get_metric("f0_corr")
    assert function(rising, rising, RATE) == pytest.approx(1.0)
    assert function(rising, voiced(180 + 20 * t), RATE) > 0.99  # another pitch, the same direction
    assert function(rising, voiced(180 - 30 * t), RATE) < -0.99
    # A sine against a cosine over whole periods: no correlation.
    first, second = voiced(150 + 20 * np.sin(2 * np.pi * t)), voiced(150 + 20 * np.cos(2 * np.pi * t))
    assert abs(function(first, second, RATE)) < 0.1


def test_f0_of_a_known_pitch():
    pyworld = pytest.importorskip("pyworld")
    assert pyworld
    from codectok.metrics.pitch import f0

    found = f0(voiced(np.full(RATE, 150.0)))
    assert np.median(found[found > 0]) == pytest.approx(150.0, abs=0.5)


def test_f0_correlation_without_voice_is_an_error(clip):
    pytest.importorskip("pyworld")
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(clip))
    with pytest.raises(MetricError, match="voiced"):
        get_metric("f0_corr")(clip, noise, RATE)


# -- opinion scores --------------------------------------------------------------------------------------------------


def test_dnsmos_is_what_the_published_models_say(clip):
    """P.835: the ONNX model on 9.01 s of samples, and Microsoft's polynomial; P.808 from log-mel."""
    onnxruntime = pytest.importorskip("onnxruntime")
    package = pytest.importorskip("speechmos")
    librosa = pytest.importorskip("librosa")
    models = Path(package.__path__[0]) / "dnsmos_models"
    wanted = int(9.01 * RATE)
    long = np.tile(clip, 4)[:wanted]
    assert len(long) == wanted
    raw = onnxruntime.InferenceSession(models / "sig_bak_ovr.onnx").run(None, {"input_1": long[None]})[0][0][2]
    expected = -0.06766283 * raw**2 + 1.11546468 * raw + 0.04602535
    assert get_metric("dnsmos_ovrl")(long, RATE) == pytest.approx(expected, abs=1e-3)
    power = librosa.feature.melspectrogram(y=long[:-160], sr=RATE, n_fft=321, hop_length=160, n_mels=120)
    mel = ((librosa.power_to_db(power, ref=np.max) + 40) / 40).T.astype(np.float32)
    expected = onnxruntime.InferenceSession(models / "model_v8.onnx").run(None, {"input_1": mel[None]})[0][0][0]
    assert get_metric("dnsmos")(long, RATE) == pytest.approx(expected, abs=1e-3)


def packages(*names: str) -> None:
    for name in names:
        pytest.importorskip(name)


@pytest.mark.parametrize("name", ["dnsmos", "distillmos"])
def test_noise_lowers_an_opinion(name, clip):
    packages("speechmos", "onnxruntime", "xls_r_sqa")
    scores = [get_metric(name)(noisy(clip, snr), RATE) for snr in (0, 15, 60)]
    assert scores == sorted(scores)
    assert 1 <= scores[0] < scores[-1] - 0.3 <= 5


def test_distillmos_is_what_the_package_says_and_leaves_no_stand_in(clip):
    packages("xls_r_sqa")
    value = get_metric("distillmos")(clip, RATE)
    model = sys.modules["distillmos"].ConvTransformerSQAModel().eval()
    with torch.inference_mode():
        expected = float(model(torch.from_numpy(clip)[None]))
    assert value == pytest.approx(expected, abs=1e-4)
    assert getattr(sys.modules.get("torchaudio"), "__file__", "real") is not None


@pytest.mark.parametrize("name", ["dnsmos", "distillmos"])
def test_silence_and_nothing_have_no_opinion(name):
    for samples in (np.zeros(RATE), np.zeros(0), np.full(RATE, np.nan)):
        with pytest.raises(MetricError):
            get_metric(name)(samples, RATE)


@pytest.mark.slow
def test_visqol_of_the_same_clip_is_its_top_and_noise_lowers_it(clip):
    packages("visqol", "ai_edge_litert")
    function = get_metric("visqol")
    scores = [function(clip, noisy(clip, snr), RATE) for snr in (20, 35, 50)]
    assert scores == sorted(scores)
    assert scores[-1] < function(clip, clip, RATE) <= 5.0


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("visqol", "visqol"),
        ("dnsmos", "speechmos"),
        ("dnsmos_ovrl", "onnxruntime"),
        ("distillmos", "distillmos"),
        ("f0_corr", "pyworld"),
        ("spk_sim", "resemblyzer"),
    ],
)
def test_a_missing_package_is_named_with_its_remedy(monkeypatch, clip, name, package):
    monkeypatch.setitem(sys.modules, package, None)  # import raises ImportError
    for cached in (opinion._visqol, opinion._dnsmos_model, opinion._distillmos):
        cached.cache_clear()
    speaker.open_speaker_encoder.cache_clear()
    metric = get_metric(name)
    with pytest.raises(MetricUnavailable) as error:
        metric.of_clip(clip, clip, RATE)
    assert metric.install
    assert metric.install in str(error.value)
