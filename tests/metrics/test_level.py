"""Level, octave bands, bursts, spectral distance and clipping: slow references, and distortions of known size."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from codectok import read_audio
from codectok.audio import resample
from codectok.metrics import Metric, MetricError, get_metric, level, metric_names
from codectok.metrics.level import HEADLINE, OCTAVE_METRICS, OCTAVES

RATE = 16000
SPEECH = Path(__file__).parents[2] / "benchmarks/speech"
NAMES = [one.name for one in vars(level).values() if isinstance(one, Metric)]


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    """Real speech, -29 dB RMS: 12 dB more do not clip it."""
    speech = resample(*read_audio(SPEECH / "allison/0029-conf-getconfno.opus"), RATE)
    return (speech * 0.2 / np.abs(speech).max()).astype(np.float32)


def band(samples: np.ndarray, low: float, high: float) -> np.ndarray:
    """The part of [S] at 16 kHz between two frequencies, by the DFT of the whole."""
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return np.fft.irfft(spectrum * ((hz >= low) & (hz < high)), len(samples))


def measure(name: str, reference: np.ndarray, estimate: np.ndarray, rate: int = RATE) -> float:
    return get_metric(name).of_clip(reference, estimate, rate)


# -- slow references -------------------------------------------------------------------------------------------------


def slow_pcm(samples: np.ndarray) -> list[float]:
    return [max(-32768, min(32767, round(float(x) * 32768))) / 32768 for x in samples]


def slow_bands(samples: np.ndarray) -> list[list[float]]:
    """Energies of the octaves, frame by frame, by the sums of the definition."""
    x = np.array(slow_pcm(samples))
    padded = np.concatenate([np.zeros(320), x, np.zeros(640)])
    n = np.arange(640)
    window = np.sin(np.pi * n / 640)
    rows = []
    for start in range(0, len(x) + 320, 320):
        frame = padded[start : start + 640] * window
        row = []
        for low, high in OCTAVES:
            energy = 0.0
            for bin_ in range(low // 25, high // 25):
                energy += 2 / 640 * abs(np.sum(frame * np.exp(-2j * np.pi * bin_ * n / 640))) ** 2
            row.append(energy)
        rows.append(row)
    return rows


def slow_excess(reference: np.ndarray, estimate: np.ndarray) -> list[float]:
    first, second = slow_bands(reference), slow_bands(estimate)
    loudest = max(sum(row) for row in first)
    floor = max(max(row) for row in first) / 10**4
    found = []
    for a, b in zip(first, second, strict=True):
        if sum(a) >= loudest / 10**4:
            found.append(max(10 * np.log10(max(q, floor) / max(p, floor)) for p, q in zip(a, b, strict=True)))
    return found


def slow_lsd(reference: np.ndarray, estimate: np.ndarray) -> float:
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    powers = []
    for clip in (reference, estimate):
        padded = np.concatenate([np.zeros(256), slow_pcm(clip), np.zeros(256)])
        starts = range(0, len(padded) - 511, 128)
        powers.append([np.abs(np.fft.fft(padded[s : s + 512] * window))[:257] ** 2 for s in starts])
    floor = max(p.max() for p in powers[0]) / 10**8
    frames = []
    for first, second in zip(*powers, strict=True):
        squares = [(10 * np.log10(max(p, floor) / max(q, floor))) ** 2 for p, q in zip(first, second, strict=True)]
        frames.append(np.sqrt(sum(squares) / len(squares)))
    return sum(frames) / len(frames)


def test_everything_is_what_the_slow_reference_says(clip: np.ndarray) -> None:
    reference = (0.2 * clip[4000:9500] / np.abs(clip[4000:9500]).max()).astype(np.float32)
    noise = np.random.default_rng(0).standard_normal(len(reference))
    estimate = (7 * reference + 0.02 * noise).astype(np.float32)  # clips, too
    one, two = np.array(slow_pcm(reference)), np.array(slow_pcm(estimate))
    ratio = 10 * np.log10((two**2).sum() / (one**2).sum())
    assert measure("level", reference, estimate) == pytest.approx(ratio, abs=1e-6)
    first, second = np.sum(slow_bands(reference), 0), np.sum(slow_bands(estimate), 0)
    floor = first.sum() / 10**6
    octaves = 10 * np.log10(np.maximum(second, floor) / np.maximum(first, floor))
    assert [measure(name, reference, estimate) for name in OCTAVE_METRICS] == pytest.approx(octaves, abs=1e-6)
    assert measure("worst_octave", reference, estimate) == pytest.approx(max(octaves, key=abs), abs=1e-6)
    excess = np.array(slow_excess(reference, estimate))
    assert (excess > 6).any()
    assert measure("loud_frames", reference, estimate) == pytest.approx(100 * (excess > 6).mean())
    assert measure("excess_99", reference, estimate) == pytest.approx(np.quantile(excess, 0.99), abs=1e-6)
    assert measure("lsd", reference, estimate) == pytest.approx(slow_lsd(reference, estimate), rel=1e-3)
    full = sum(x in (-1.0, 32767 / 32768, -32767 / 32768) for x in two)
    assert full > 0
    assert measure("clipped", reference, estimate) == pytest.approx(100 * full / len(estimate))


def test_frames_and_bins_hold_all_the_energy(clip: np.ndarray) -> None:
    inside = band(clip, 200, 3200)
    assert level.band_energies(inside).sum() == pytest.approx((inside**2).sum(), rel=2e-3)


# -- distortions of known size ---------------------------------------------------------------------------------------


def test_a_perfect_copy_has_no_error(clip: np.ndarray) -> None:
    for name in NAMES:
        assert measure(name, clip, clip) == 0.0


@pytest.mark.parametrize("gain", [12.0, -12.0, 3.0])
def test_gain_is_heard_in_every_band_and_not_by_pesq(clip: np.ndarray, gain: float) -> None:
    pytest.importorskip("pesq")
    changed = (clip * 10 ** (gain / 20)).astype(np.float32)
    assert measure("level", clip, changed) == pytest.approx(gain, abs=0.01)
    for name in (*OCTAVE_METRICS, "worst_octave"):
        assert measure(name, clip, changed) == pytest.approx(gain, abs=0.05)
    assert measure("loud_frames", clip, changed) == (100.0 if gain > 6 else 0.0)
    assert measure("excess_99", clip, changed) == pytest.approx(max(gain, 0.0), abs=0.05)  # 0 where both are the floor
    assert 0.5 * abs(gain) < measure("lsd", clip, changed) <= abs(gain) + 0.01  # bins under the floor do not count
    assert measure("clipped", clip, changed) == 0.0
    assert measure("pesq", clip, changed) > 4.5  # why these measures exist


@pytest.mark.parametrize("index", range(6))
def test_gain_in_one_octave_is_heard_there(clip: np.ndarray, index: int) -> None:
    low, high = OCTAVES[index]
    changed = (clip + (10**0.6 - 1) * band(clip, low, high)).astype(np.float32)
    found = [measure(name, clip, changed) for name in OCTAVE_METRICS]
    assert found[index] == pytest.approx(12.04, abs=1.0)  # what lies on the edge is heard on both sides of it
    assert measure("worst_octave", clip, changed) == found[index]
    assert all(abs(x) < 0.2 for i, x in enumerate(found) if abs(i - index) > 1)
    assert measure("loud_frames", clip, changed) > 20.0


@pytest.mark.parametrize("index", range(6))
def test_gain_of_one_tone_is_heard_in_its_octave_alone(index: int) -> None:
    t = np.arange(2 * RATE) / RATE
    tones = np.stack([0.02 * np.sin(2 * np.pi * 1.4 * low * t) for low, _ in OCTAVES])
    changed = tones.copy()
    changed[index] *= 10**0.6
    found = [measure(name, tones.sum(0), changed.sum(0)) for name in OCTAVE_METRICS]
    assert found == pytest.approx([12.0 * (i == index) for i in range(6)], abs=0.1)
    assert measure("loud_frames", tones.sum(0), changed.sum(0)) == 100.0


def test_clipping_is_counted_beyond_the_original_and_lowers_the_level(clip: np.ndarray) -> None:
    loud = 0.9 * clip / np.abs(clip).max()
    changed = 4 * loud
    assert measure("clipped", loud, changed) == pytest.approx(100 * (np.abs(changed) >= 32767 / 32768).mean(), abs=1e-3)
    assert measure("clipped", changed, changed) == 0.0
    assert measure("clipped", changed, loud) == 0.0
    assert 6.0 < measure("level", loud, changed) < 12.0  # of 12.04, for the file cannot hold it
    assert measure("peak", loud, changed) == 100.0
    assert measure("peak", changed, loud) == 0.0


def test_one_burst_moves_the_frames_and_little_else(clip: np.ndarray) -> None:
    active = np.flatnonzero(np.abs(clip) > 0.1)
    start = int(active[len(active) // 2]) // 320 * 320
    changed = clip.copy()
    changed[start : start + 640] *= 10**0.6
    frames = len(level.frame_excess(clip, changed, RATE))
    loud = measure("loud_frames", clip, changed) * frames / 100
    assert 2 <= round(loud) <= 3  # two frames, and one on either side hears a part of it
    assert measure("excess_99", clip, changed) > 6.0
    assert abs(measure("level", clip, changed)) < 2.0
    assert measure("clipped", clip, changed) == 0.0


def test_neither_noise_in_pauses_nor_what_is_too_quiet_makes_loud_frames(clip: np.ndarray) -> None:
    quiet = clip.copy()
    quiet[8000:12000] = 0.0
    changed = quiet.copy()
    changed[8400:11600] += 1e-3 * np.random.default_rng(0).standard_normal(3200).astype(np.float32)
    assert measure("loud_frames", quiet, changed) == 0.0
    assert measure("loud_frames", clip, clip / 4) == 0.0


def test_a_band_that_is_empty_in_both_is_right() -> None:
    tone = 0.1 * np.sin(2 * np.pi * 300 * np.arange(RATE) / RATE)
    hiss = tone + 1e-5 * np.random.default_rng(0).standard_normal(RATE)
    assert measure("octave_3200", tone, hiss) == 0.0
    assert measure("octave_200", tone, 2 * tone) == pytest.approx(6.02, abs=0.01)


# -- the file as written ---------------------------------------------------------------------------------------------


def test_what_is_over_full_scale_is_clipped_before_it_is_scored(clip: np.ndarray) -> None:
    far = (40 * clip / np.abs(clip).max()).astype(np.float32)
    for name in (*NAMES, "si_sdr", "mel"):
        assert measure(name, clip, far) == measure(name, clip, np.clip(far, -1.0, 1.0))
    assert measure("si_sdr", clip, far) < 20.0  # as floats they are one signal


def test_other_rates(clip: np.ndarray) -> None:
    wide = resample(clip, RATE, 24000)
    assert measure("level", wide, 2 * wide, 24000) == pytest.approx(6.02, abs=0.01)
    assert measure("octave_400", wide, 2 * wide, 24000) == pytest.approx(6.02, abs=0.01)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "peak"])
@pytest.mark.parametrize(
    ("reference", "estimate"),
    [
        pytest.param(np.ones(100), np.ones(99), id="unequal"),
        pytest.param(np.zeros(0), np.zeros(0), id="empty"),
        pytest.param(np.full(RATE, np.nan), np.ones(RATE), id="nan"),
        pytest.param(np.ones(RATE), np.full(RATE, np.inf), id="infinite"),
        pytest.param(np.ones((2, RATE)), np.ones((2, RATE)), id="stereo"),
    ],
)
def test_unusable_input_is_an_error(name: str, reference: np.ndarray, estimate: np.ndarray) -> None:
    with pytest.raises(MetricError):
        get_metric(name)(reference, estimate, RATE)
    with pytest.raises(MetricError):
        measure(name, reference, estimate)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("clipped", "peak")])
def test_silence_is_an_error_not_a_number(clip: np.ndarray, name: str) -> None:
    faint = np.full_like(clip, 1e-6)  # silence, as 16 bit
    for pair in ((faint, clip), (clip, faint)):
        with pytest.raises(MetricError, match="silence"):
            measure(name, *pair)


# -- the registry ----------------------------------------------------------------------------------------------------


def test_each_says_what_it_cannot_hear_and_how_it_ranks() -> None:
    assert set(HEADLINE) | set(OCTAVE_METRICS) <= set(metric_names())
    deaf = ("hear", "Deaf", "loud_frames")
    for function in (level.level, level.octave_levels, level.worst_octave, level.frame_excess, level.loud_frames,
                     level.peak_excess, level.log_spectral_distance, level.clipped, level.peak_over):  # fmt: skip
        assert any(word in (inspect.getdoc(function) or "") for word in deaf), function
    assert get_metric("level").goodness(-2.0) > get_metric("level").goodness(3.0)
    assert get_metric("lsd").goodness(2.0) > get_metric("lsd").goodness(3.0)
    assert get_metric("pesq").goodness(3.0) > get_metric("pesq").goodness(2.0)


# -- the page --------------------------------------------------------------------------------------------------------


def test_the_table_of_the_page_is_what_its_example_gives(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pesq")
    page = (SPEECH.parents[1] / "docs/metrics.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(code.replace("benchmarks/speech", str(SPEECH)), "docs/metrics.md", "exec"), {})
    printed = [line.split(" {", 1) for line in capsys.readouterr().out.splitlines()]
    assert len(printed) == 4
    for what, values in printed:
        (row,) = re.findall(rf"^\| {re.escape(what)} \|(.*)\|$", page, re.MULTILINE)
        written = [float(cell.split()[0]) for cell in row.split("|")]
        found = list(ast.literal_eval("{" + values).values())
        assert written == pytest.approx(found, abs=0.06)


def test_the_page_names_every_metric_of_the_module() -> None:
    page = (SPEECH.parents[1] / "docs/metrics.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in NAMES if name not in OCTAVE_METRICS[1:-1])
