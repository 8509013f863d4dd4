from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import codectok
from codectok import audio
from codectok.audio.samples import as_written, to_int16
from codectok.errors import AudioError
from codectok.files.atomic import atomic_path

RATES = (8000, 11025, 16000, 22050, 24000, 44100, 48000)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def tone(samples: int, rate: int) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(samples) / rate)).astype(np.float32)


# -- samples in memory


@pytest.mark.parametrize("rate", [None, 0, -16000, 16000.5, float("nan"), float("inf"), "16000", True, 10**9, [16000]])
def test_bad_rates_are_refused_with_the_remedy(rate: object) -> None:
    with pytest.raises(AudioError, match="pass rate in Hz"):
        audio.check_rate(rate)


@pytest.mark.parametrize("rate", [16000, np.int32(16000), 16000.0, torch.tensor(16000)])
def test_whole_rates_are_ints(rate: object) -> None:
    assert audio.check_rate(rate) == 16000
    assert type(audio.check_rate(rate)) is int


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_must_be_finite_and_some(bad: float) -> None:
    with pytest.raises(AudioError, match="sample 2 is NaN or infinite"):
        audio.check_samples(np.array([0, 0.5, bad, bad], np.float32))
    with pytest.raises(AudioError, match="empty"):
        audio.check_samples(np.zeros(0, np.float32))


VALUES = [0.0, 0.5, -0.25]


@pytest.mark.parametrize(
    "given_audio",
    [VALUES, tuple(VALUES)]
    + [np.array(VALUES, kind) for kind in (np.float16, np.float32, np.float64)]
    + [torch.tensor(VALUES, dtype=kind) for kind in (torch.float16, torch.bfloat16, torch.float32, torch.float64)],
)
def test_mono_is_float32_of_any_kind(given_audio: object) -> None:
    mono = audio.as_mono(given_audio)  # type: ignore[arg-type]
    assert mono.dtype == np.float32
    np.testing.assert_array_equal(mono, VALUES)


def test_channels_are_mixed_by_their_mean() -> None:
    stereo = np.stack([noise(100), noise(100, 1)])
    np.testing.assert_allclose(audio.as_mono(stereo), stereo.mean(0), atol=1e-7)
    np.testing.assert_array_equal(audio.as_mono(torch.tensor(stereo, requires_grad=True)), audio.as_mono(stereo))
    np.testing.assert_array_equal(audio.as_mono(stereo[:1]), stereo[0])


@pytest.mark.parametrize(
    ("bad", "remedy"),
    [
        (np.zeros(5, np.int32), "scale"),
        ([1, 2, 3], "scale"),
        (np.zeros(5, bool), "scale"),
        (np.zeros(5, np.complex64), "scale"),
        (["a", "b"], "scale"),
        (np.zeros((16000, 2), np.float32), "audio.T"),
        (np.zeros((1, 2, 3), np.float32), "neither"),
        (np.zeros((0, 3), np.float32), "neither"),
        (np.float32(0.5), "neither"),
        ([[0.1, 0.2], [0.3]], "ragged"),
    ],
)
def test_what_is_not_audio_is_refused(bad: object, remedy: str) -> None:
    with pytest.raises(AudioError, match=remedy):
        audio.as_mono(bad)  # type: ignore[arg-type]


# -- resampling


@given(
    samples=st.integers(1, 3000),
    rate=st.sampled_from(RATES),
    to=st.sampled_from(RATES),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_any_split_resamples_to_the_same_bytes(samples: int, rate: int, to: int, data: st.DataObject) -> None:
    x = noise(samples)
    cuts = sorted(data.draw(st.lists(st.integers(0, samples), max_size=12)))
    resampler = audio.Resampler(rate, to)
    parts = [resampler.push(part) for part in np.split(x, cuts)] + [resampler.flush()]
    whole = audio.resample(x, rate, to)
    assert len(whole) == math.ceil(samples * to / rate)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize(("rate", "to"), [(48000, 16000), (16000, 24000), (44100, 24000)])
def test_one_sample_chunks_resample_to_the_same_bytes(rate: int, to: int) -> None:
    x = noise(5000)
    resampler = audio.Resampler(rate, to)
    parts = [resampler.push(x[i : i + 1]) for i in range(len(x))] + [resampler.flush()]
    np.testing.assert_array_equal(np.concatenate(parts), audio.resample(x, rate, to))


def test_a_tone_stays_the_tone_to_its_last_sample() -> None:
    # 441 Hz at 44100 ends in the middle of an output sample: ceil needs one that soxr alone would leave out.
    x = tone(44101, 44100)
    y = audio.resample(x, 44100, 16000)
    assert len(y) == 16001
    np.testing.assert_allclose(y[500:-500], tone(16001, 16000)[500:-500], atol=2e-4)
    assert np.abs(y[-1]) > 0


def test_equal_rates_change_nothing() -> None:
    x = noise(10)
    assert audio.resample(x, 16000, 16000) is x


@pytest.mark.parametrize(("rate", "to"), [(1, 24000), (10_000_000, 8000), (0, 16000), (16000, None)])
def test_rates_too_far_apart_are_refused(rate: int, to: int) -> None:
    with pytest.raises(AudioError):
        audio.resample(noise(10), rate, to)


# -- reading

KINDS = [
    ("u8.wav", "WAV", "PCM_U8", 1e-2),
    ("s16.wav", "WAV", "PCM_16", 1e-4),
    ("s24.wav", "WAV", "PCM_24", 1e-6),
    ("s32.wav", "WAV", "PCM_32", 1e-7),
    ("f32.wav", "WAV", "FLOAT", 0),
    ("f64.wav", "WAV", "DOUBLE", 0),
    ("s16.flac", "FLAC", "PCM_16", 1e-4),
    ("s24.flac", "FLAC", "PCM_24", 1e-6),
    ("a.ogg", "OGG", "VORBIS", 0.2),
    ("a.opus", "OGG", "OPUS", 0.2),
    ("a.mp3", "MP3", "MPEG_LAYER_III", 0.2),
]


@pytest.mark.parametrize(("name", "kind", "subtype", "error"), KINDS, ids=[k[0] for k in KINDS])
def test_every_format_reads_alike_whole_and_in_blocks(
    tmp_path: Path, name: str, kind: str, subtype: str, error: float
) -> None:
    x = tone(40000, 16000)
    soundfile.write(tmp_path / name, np.stack([x, x * 0.5], 1), 16000, format=kind, subtype=subtype)
    whole, rate = codectok.read_audio(tmp_path / name)
    assert rate == 16000
    assert whole.dtype == np.float32
    assert whole.shape == (40000,)
    np.testing.assert_allclose(whole[2000:-2000], x[2000:-2000] * 0.75, atol=error + 1e-7)
    for seconds in (0.01, 0.37):
        with audio.AudioReader(tmp_path / name) as reader:
            assert (reader.rate, reader.num_samples) == (16000, 40000)
            blocks = list(reader.blocks(seconds))
        assert max(map(len, blocks)) <= seconds * 16000
        np.testing.assert_array_equal(np.concatenate(blocks), whole)
    with audio.AudioReader(str(tmp_path / name)) as reader:
        part = np.concatenate(list(reader.blocks(0.1, start=12345, stop=23456)))
    np.testing.assert_array_equal(part, whole[12345:23456])
    resampled = np.concatenate(list(audio.resampled_blocks(tmp_path / name, 24000, seconds=0.3)))
    np.testing.assert_array_equal(resampled, audio.resample(whole, 16000, 24000))


def flac_to_pipe(data: bytes) -> bytes:
    """The same FLAC with the length left out of its header, as an encoder that writes to a pipe does."""
    return data[:21] + bytes([data[21] & 0xF0]) + bytes(4) + data[26:]


def test_a_flac_that_does_not_state_its_length(tmp_path: Path) -> None:
    x = tone(30000, 16000)
    soundfile.write(tmp_path / "a.flac", x, 16000)
    data = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "pipe.flac").write_bytes(flac_to_pipe(data))
    with audio.AudioReader(tmp_path / "pipe.flac") as reader:
        assert reader.num_samples == 30000
        np.testing.assert_array_equal(np.concatenate(list(reader.blocks())), audio.read_audio(tmp_path / "a.flac")[0])
    with audio.AudioReader(tmp_path / "pipe.flac") as reader:
        part = np.concatenate(list(reader.blocks(0.1, start=20000, stop=25000)))
    np.testing.assert_array_equal(part, audio.read_audio(tmp_path / "a.flac")[0][20000:25000])


def test_an_mp3_that_does_not_state_its_length(tmp_path: Path) -> None:
    # Silence first: the length guessed from the first, small frame is far too long. That is no truncation.
    x = np.concatenate([np.zeros(16000, np.float32), noise(32000) * 3])
    soundfile.write(tmp_path / "a.mp3", x, 16000, bitrate_mode="VARIABLE")
    data = (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "b.mp3").write_bytes(data[data.index(data[:2], 4) :])
    samples, _ = audio.read_audio(tmp_path / "b.mp3")
    assert 48000 <= len(samples) < 52000


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_wav_recorded_to_a_pipe_is_read(tmp_path: Path, size: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(8000, 8000), 8000, "PCM_16")
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[40:44] = size.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    assert len(audio.read_audio(tmp_path / "a.wav")[0]) == 8000


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
@pytest.mark.parametrize("share", [0.95, 0.5, 0.1])
def test_truncated_files_are_refused(tmp_path: Path, name: str, share: float) -> None:
    soundfile.write(tmp_path / name, noise(80000), 16000)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * share)])
    with pytest.raises(AudioError, match=r"truncated") as caught:
        audio.read_audio(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_a_truncated_flac_without_length_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", noise(80000), 16000)
    data = flac_to_pipe((tmp_path / "a.flac").read_bytes())
    (tmp_path / "a.flac").write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match="damaged"):
        audio.read_audio(tmp_path / "a.flac")


def test_flipped_bits_in_a_flac_are_found(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", noise(20000), 16000)
    data = (tmp_path / "a.flac").read_bytes()
    for at in range(100, len(data), len(data) // 40):
        (tmp_path / "b.flac").write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        with (
            pytest.raises(AudioError, match=r"b\.flac"),
            audio.AudioReader(tmp_path / "b.flac", strict=True) as reader,  # or the last frame would be left out
        ):
            list(reader.blocks())


def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("this is not audio\n" * 100)
    (tmp_path / "text.raw").write_text("this is not audio\n" * 100)
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16000)
    soundfile.write(tmp_path / "none.flac", np.zeros(0), 16000)
    soundfile.write(tmp_path / "nan.wav", np.array([0, np.nan, 0]), 16000, "FLOAT")
    soundfile.write(tmp_path / "inf.wav", np.array([0, np.inf, 0]), 16000, "FLOAT")
    expected = {
        "missing.wav": "does not exist",
        ".": "is not a file",
        "empty.wav": "empty file",
        "text.wav": "cannot be read as audio",
        "text.raw": "cannot be read as audio",
        "none.wav": "no samples",
        "none.flac": "empty file",  # libsndfile writes nothing at all
        "nan.wav": "NaN or infinite",
        "inf.wav": "NaN or infinite",
    }
    for name, what in expected.items():
        with pytest.raises(AudioError, match=what) as caught:
            audio.read_audio(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert ":" in str(caught.value)  # the remedy follows


# -- writing


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".opus", ".mp3", ".WAV"])
def test_what_is_written_can_be_read(tmp_path: Path, suffix: str) -> None:
    x = tone(48000, 24000)
    codectok.write_audio(tmp_path / f"a{suffix}", x, 24000)
    with audio.AudioWriter(tmp_path / f"b{suffix}", 24000) as writer:
        for part in np.split(x, [1, 1, 5000, 40000]):
            writer.write(part)
    a, rate = codectok.read_audio(tmp_path / f"a{suffix}")
    b, _ = codectok.read_audio(tmp_path / f"b{suffix}")
    assert rate == 24000
    assert len(a) == len(b) == 48000
    np.testing.assert_allclose(a[4000:-4000], x[4000:-4000], atol=0.1)
    if suffix.lower() in (".wav", ".flac"):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, x, atol=1e-4)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"a{suffix}", f"b{suffix}"]


def test_a_long_ogg_is_written_whole(tmp_path: Path) -> None:
    codectok.write_audio(tmp_path / "a.ogg", tone(16000 * 200, 16000), 16000)
    assert len(codectok.read_audio(tmp_path / "a.ogg")[0]) == 16000 * 200


def test_values_beyond_one_are_clipped(tmp_path: Path) -> None:
    codectok.write_audio(tmp_path / "a.wav", [0.0, 2.0, -2.0, 0.5], 16000)
    np.testing.assert_allclose(codectok.read_audio(tmp_path / "a.wav")[0], [0, 1, -1, 0.5], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "samples", "rate", "what"),
    [
        ("a.xyz", [0.1], 16000, "end its name in"),
        ("a", [0.1], 16000, "end its name in"),
        ("a.opus", [0.1], 44100, "44100 Hz"),
        ("a.mp3", [0.1], 7, "7 Hz"),
        ("a.wav", [0.1], 0, "rate in Hz"),
        ("a.wav", [], 16000, "empty"),
        ("a.wav", [np.nan], 16000, "NaN"),
        ("a.wav", np.zeros(3, np.int32), 16000, "scale"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(
    tmp_path: Path, name: str, samples: list[float], rate: int, what: str
) -> None:
    with pytest.raises(AudioError, match=what):
        codectok.write_audio(tmp_path / name, samples, rate)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_keeps_the_old_file(tmp_path: Path) -> None:
    codectok.write_audio(tmp_path / "a.wav", [0.5], 16000)
    old = (tmp_path / "a.wav").read_bytes()

    def write_and_stop() -> None:
        with audio.AudioWriter(tmp_path / "a.wav", 16000) as writer:
            writer.write(noise(100))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_stop()
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]
    assert (tmp_path / "a.wav").read_bytes() == old


def test_a_writer_that_was_given_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no samples"), audio.AudioWriter(tmp_path / "a.flac", 16000) as writer:
        writer.write([])
    assert list(tmp_path.iterdir()) == []


def test_atomic_path(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "new" / "a.json") as temporary:
        assert temporary.parent == tmp_path / "new"
        assert temporary.suffix == ".json"
        temporary.write_text("x")
        assert not (tmp_path / "new" / "a.json").exists()
    assert (tmp_path / "new" / "a.json").read_text() == "x"
    long = tmp_path / ("n" * 250 + ".json")
    with atomic_path(str(long)) as temporary:
        temporary.write_text("x")
    assert long.exists()
    for target in (tmp_path, Path("/dev/null")):
        with pytest.raises(OSError, match="regular file"), atomic_path(target):
            pass


# -- 16 bit ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_what_is_scored_is_what_a_file_holds(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    edges = [0.0, 1.0, -1.0, 2.0, -2.0, 1 - 2**-15, 1 - 2**-16, -1 + 2**-16, 2**-16, 1.5 * 2**-15, -(2**-17), 1e30]
    x = np.concatenate([edges, rng.normal(0, 0.5, 40000)]).astype(np.float32)
    codectok.write_audio(tmp_path / f"a{suffix}", x, 16000)
    back, _ = codectok.read_audio(tmp_path / f"a{suffix}")
    assert np.array_equal(back, as_written(x))
    assert np.array_equal(as_written(back), back)
    assert back.max() == 1 - 2**-15
    assert back.min() == -1.0
    inside = np.abs(x) < 1 - 2**-15
    assert np.abs(back - x)[inside].max() <= 2**-16  # rounded, not cut off


def test_16_bit_integers() -> None:
    assert to_int16(np.array([0.0, 1.0, -1.0, 9.0, -9.0, 2**-15, -(2**-15)])).tolist() == [
        0, 32767, -32768, 32767, -32768, 1, -1,
    ]  # fmt: skip
