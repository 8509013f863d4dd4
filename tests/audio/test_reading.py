"""Reading: every format alike, whole and in blocks; what is damaged is refused or said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import codectok
from codectok import audio
from codectok.errors import AudioError
from tests.audio.making import noise, tone

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
