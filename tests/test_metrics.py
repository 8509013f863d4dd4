import builtins

import numpy as np
import pytest
import torch

from codectok import metrics
from codectok import registry as names
from codectok.errors import UnknownNameError
from codectok.metrics import MetricError, MetricUnavailable, bootstrap_mean, get_metric, mel

RATE = 16000
SIGNAL = ("pesq", "stoi", "estoi", "si_sdr", "mel", "stft")


def speechlike(seconds=3.0, rate=RATE, seed=0):
    """Harmonics of a gliding pitch under a syllable-like envelope: PESQ and STOI find utterances in it."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * t)) / rate
    voice = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 25))
    envelope = np.clip(np.sin(2 * np.pi * 2.5 * t), 0, None) ** 0.5
    x = envelope * voice + 0.02 * rng.standard_normal(len(t))
    return (0.3 * x / np.abs(x).max()).astype(np.float32)


def with_noise(x, snr_db, seed=1):
    noise = np.random.default_rng(seed).standard_normal(len(x))
    noise *= np.sqrt((x**2).mean() / (noise**2).mean()) * 10 ** (-snr_db / 20)
    return (x + noise).astype(np.float32)


@pytest.fixture(scope="module")
def clip():
    return speechlike()


def test_identical_signals(clip):
    values, failures = metrics.compute(SIGNAL, clip, clip, RATE)
    assert not failures
    assert values["pesq"] == pytest.approx(4.644, abs=0.001)  # the top of P.862.2's mapping
    assert values["stoi"] == pytest.approx(1.0, abs=1e-6)
    assert values["estoi"] == pytest.approx(1.0, abs=1e-6)
    assert values["si_sdr"] == 100.0
    assert values["mel"] == 0.0
    assert values["stft"] == 0.0


@pytest.mark.parametrize("name", ["pesq", "stoi", "estoi", "si_sdr"])
def test_more_noise_is_worse(clip, name):
    scores = [get_metric(name)(clip, with_noise(clip, snr), RATE) for snr in (-5, 5, 15, 30)]
    assert scores == sorted(scores)
    assert scores[0] < scores[-1]


def test_mel_distance_grows_with_noise(clip):
    scores = [get_metric("mel")(clip, with_noise(clip, snr), RATE) for snr in (30, 15, 5, -5)]
    assert scores == sorted(scores)


@pytest.mark.parametrize("snr", [-10, 0, 12.5, 40])
def test_si_sdr_of_orthogonal_noise_is_its_snr(snr):
    t = np.arange(RATE) / RATE
    x, noise = np.sin(2 * np.pi * 100 * t), np.sin(2 * np.pi * 250 * t)
    y = x + noise * 10 ** (-snr / 20)
    assert get_metric("si_sdr")(x, y, RATE) == pytest.approx(snr, abs=0.01)
    assert get_metric("si_sdr")(x, 0.3 * y + 0.2, RATE) == pytest.approx(snr, abs=0.01)  # scale and offset are free


def test_mel_distance_of_a_gain_is_the_gain():
    noise = np.random.default_rng(0).standard_normal(RATE)
    assert get_metric("mel")(0.1 * noise, 0.05 * noise, RATE) == pytest.approx(20 * np.log10(2), abs=1e-3)


def test_other_rates_are_resampled(clip):
    wide = speechlike(rate=24000)
    values, failures = metrics.compute(("pesq", "stoi", "mel"), wide, wide, 24000)
    assert not failures
    assert values["pesq"] == pytest.approx(4.644, abs=0.001)
    assert values["mel"] == 0.0


@pytest.mark.parametrize("name", [*SIGNAL, "f0_corr"])
@pytest.mark.parametrize(
    ("reference", "estimate"),
    [
        pytest.param(np.ones(100), np.ones(99), id="unequal"),
        pytest.param(np.zeros(0), np.zeros(0), id="empty"),
        pytest.param(np.full(RATE, np.nan), np.ones(RATE), id="nan"),
        pytest.param(np.ones((2, RATE)), np.ones((2, RATE)), id="stereo"),
    ],
)
def test_unusable_input_is_an_error(name, reference, estimate):
    with pytest.raises(MetricError):
        get_metric(name)(reference, estimate, RATE)


@pytest.mark.parametrize("name", ["pesq", "stoi", "estoi", "si_sdr"])
def test_silence_is_an_error_not_a_number(clip, name):
    silence = np.zeros_like(clip)
    for pair in ((silence, silence), (clip, silence), (silence, clip)):
        with pytest.raises(MetricError):
            get_metric(name)(*pair, RATE)


@pytest.mark.parametrize("name", ["pesq", "stoi", "estoi"])
def test_too_short_is_an_error_not_a_number(clip, name):
    with pytest.raises(MetricError):
        get_metric(name)(clip[2000:3000], clip[2000:3000], RATE)


@pytest.mark.parametrize(("name", "package"), [("pesq", "pesq"), ("stoi", "pystoi"), ("estoi", "pystoi")])
def test_a_missing_package_is_named_with_its_remedy(monkeypatch, clip, name, package):
    real = builtins.__import__

    def without(module, *args, **kwargs):
        if module.split(".")[0] == package:
            raise ImportError(module)
        return real(module, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MetricUnavailable, match=r"not installed: pip install 'codectok\[bench\]'"):
        get_metric(name)(clip, clip, RATE)


def test_compute_keeps_failures_apart(clip):
    values, failures = metrics.compute(("si_sdr", "mel"), clip, np.zeros_like(clip), RATE)
    assert set(values) == {"mel"}
    assert set(failures) == {"si_sdr"}


def test_every_metric_names_its_source():
    for name in metrics.metric_names():
        metric = get_metric(name)
        assert metric.label
        assert metric.reference
    assert not get_metric("mel").higher_is_better


def test_registry_refuses_unknown_names_and_what_is_no_metric(monkeypatch):
    with pytest.raises(UnknownNameError, match="did you mean mel"):
        get_metric("mels")
    monkeypatch.setattr("codectok.registry._added", {})
    names.register("metrics", "not_one")(len)
    with pytest.raises(MetricError, match="builtins:len gives is no Metric named not_one"):
        get_metric("not_one")


# -- mel -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hz", [62.5, 1000.0, 4000.0])
def test_magnitude_of_a_sine_is_its_amplitude(hz):
    x = 0.25 * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE)
    spectrum = mel.magnitudes(x, 512, 128)
    assert spectrum.shape == (RATE // 128 + 1, 257)
    assert spectrum[40].max() == pytest.approx(0.25, rel=1e-3)
    assert spectrum[40].argmax() == round(hz * 512 / RATE)


def test_mel_scale_is_invertible():
    hz = np.array([0.0, 100.0, 1000.0, 8000.0])
    assert mel.mel_to_hz(mel.hz_to_mel(hz)) == pytest.approx(hz)
    assert mel.hz_to_mel(1000.0) == pytest.approx(1000, abs=0.1)


@pytest.mark.parametrize(("window", "bands"), [(256, 20), (2048, 160), (640, 112)])
def test_no_mel_band_is_empty(window, bands):
    assert mel.mel_filters(RATE, window, bands, RATE / 2).sum(1) == pytest.approx(1.0)


def test_bands_above_the_audio_are_empty():
    filters = mel.mel_filters(RATE, 640, 100, 24000.0)
    assert filters[:50].any(axis=1).all()
    assert not filters[-5:].any()


# -- bootstrap -------------------------------------------------------------------------------------------------------


def test_bootstrap_of_a_normal_sample_agrees_with_its_standard_error():
    values = np.random.default_rng(3).normal(5.0, 2.0, 400)
    interval = bootstrap_mean(values)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.half_width == pytest.approx(1.96 * values.std() / 20, rel=0.08)
    assert interval.low < interval.mean < interval.high
    assert interval.n == 400


def test_bootstrap_is_seeded():
    values = np.random.default_rng(0).normal(size=50)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


def test_bootstrap_of_one_clip_has_no_interval():
    interval = bootstrap_mean([3.0])
    assert (interval.mean, interval.low, interval.half_width) == (3.0, None, None)


def test_bootstrap_of_equal_values_is_a_point():
    assert bootstrap_mean([2.0, 2.0, 2.0]).half_width == 0.0


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_bootstrap_refuses_failures(values):
    with pytest.raises(MetricError):
        bootstrap_mean(values)


# -- usage -----------------------------------------------------------------------------------------------------------


def test_code_usage():
    codes = torch.tensor([[0, 0, 0, 0], [0, 0, 1, 1], [3, 1, 2, 0]])
    used, bits = metrics.code_usage(codes)
    assert used == (1, 2, 4)
    assert bits == pytest.approx((0.0, 1.0, 2.0))
