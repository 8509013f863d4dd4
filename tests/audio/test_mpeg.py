"""MP3: read to the end whatever the header says, joined, and damaged."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from codectok.audio import AudioReader
from codectok.audio.mpeg import LENGTHS
from codectok.errors import AudioError
from tests.audio.making import RATE, encoded, noise, read_data

TAG = b"TAG" + b" " * 125
APE = b"APETAGEX" + b"".join(n.to_bytes(4, "little") for n in (2000, 64, 1, 0xA0000000)) + bytes(8)
LOUD_FIRST = np.concatenate([noise(RATE, scale=0.3), noise(2 * RATE, scale=0.001), np.zeros(RATE, np.float32)])


def vbr(folder: Path, samples: np.ndarray = LOUD_FIRST) -> bytes:
    return encoded(folder, samples, "MP3", bitrate_mode="VARIABLE")


def headless(data: bytes) -> bytes:
    """Without the first frame, which is the Xing header; as an encoder that writes to a pipe leaves it."""
    assert b"Xing" in data[:200] or b"Info" in data[:200]
    return data[LENGTHS[data[1] << 8 | data[2]] :]


def test_a_vbr_mp3_without_a_header_is_read_to_its_end(tmp_path: Path) -> None:
    whole, _ = read_data(tmp_path / "a.mp3", vbr(tmp_path))
    path = tmp_path / "b.mp3"
    found, warnings = read_data(path, headless(vbr(tmp_path)))
    assert not warnings
    # The encoder's delay is in it, which only a header would have cut off.
    assert len(whole) == len(LOUD_FIRST) < len(found) < len(whole) + 4 * 1152
    offset = int(np.argmax(np.correlate(found[: RATE // 2 + 3000], whole[: RATE // 2], "valid")))
    np.testing.assert_allclose(found[offset + 2000 : offset + len(whole) - 2000], whole[2000:-2000], atol=1e-3)
    with AudioReader(path) as reader:
        assert (reader.num_samples, reader.exact) == (len(found), True)
        part = np.concatenate(list(reader.blocks(start=50_000, stop=60_000)))
    np.testing.assert_array_equal(part, found[50_000:60_000])


def test_a_header_that_claims_too_few_frames(tmp_path: Path) -> None:
    data = bytearray(vbr(tmp_path))
    whole, _ = read_data(tmp_path / "a.mp3", bytes(data))
    at = data.index(b"Xing") + 8
    data[at : at + 4] = (20).to_bytes(4, "big")
    found, (warning,) = read_data(tmp_path / "a.mp3", bytes(data))
    assert "a header that claims 20 frames" in warning
    assert abs(len(found) - len(whole)) <= 2 * 1152
    with pytest.raises(AudioError, match="claims 20 frames"):
        read_data(tmp_path / "a.mp3", bytes(data), strict=True)


@pytest.mark.parametrize("between", [b"", TAG, b"ID3\x04\0\0\0\0\0\x0a" + bytes(10), APE + b"x" * 32 + APE])
def test_joined_files_are_read_as_one(tmp_path: Path, between: bytes) -> None:
    one, two = vbr(tmp_path), encoded(tmp_path, noise(20_000, 5), "MP3")
    expected = np.concatenate([read_data(tmp_path / "a.mp3", data)[0] for data in (one, two)])
    found, warnings = read_data(tmp_path / "a.mp3", one + between + two)
    np.testing.assert_array_equal(found, expected)
    assert not warnings
    with AudioReader(io.BytesIO(one + between + two), "member") as reader:
        assert reader.num_samples == len(expected)
        part = np.concatenate(list(reader.blocks(start=60_000, stop=70_000)))
    np.testing.assert_array_equal(part, expected[60_000:70_000])


def test_joined_files_of_several_rates_are_refused(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "b.mp3", noise(8000), 24000)
    with pytest.raises(AudioError, match="joined streams, at 16000 and 24000 Hz"):
        read_data(tmp_path / "a.mp3", vbr(tmp_path) + (tmp_path / "b.mp3").read_bytes())


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("tail", [TAG, APE + b"x" * 32 + APE + TAG, b"LYRICSBEGINabc000003LYRICS200", bytes(5000)])
def test_tags_and_padding_are_no_damage(tmp_path: Path, tail: bytes, header: bool) -> None:
    data = vbr(tmp_path) if header else headless(vbr(tmp_path))
    whole, _ = read_data(tmp_path / "a.mp3", data)
    found, warnings = read_data(tmp_path / "a.mp3", data + tail, strict=True)
    np.testing.assert_array_equal(found, whole)
    assert not warnings


@pytest.mark.parametrize("header", [True, False])
def test_junk_after_the_audio_is_skipped_with_a_warning(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], header: bool
) -> None:
    data = vbr(tmp_path) if header else headless(vbr(tmp_path))
    junk = np.random.default_rng(3).bytes(5000)
    whole, _ = read_data(tmp_path / "a.mp3", data)
    found, (warning,) = read_data(tmp_path / "a.mp3", data + junk)
    np.testing.assert_array_equal(found, whole)
    assert warning == f"{tmp_path / 'a.mp3'} has 5000 bytes that are no audio, which are skipped"
    with pytest.raises(AudioError, match="5000 bytes"):
        read_data(tmp_path / "a.mp3", data + junk, strict=True)
    assert capfd.readouterr().err == ""  # the decoder never sees it


def test_junk_in_the_middle_makes_times_wrong(tmp_path: Path) -> None:
    data = vbr(tmp_path)
    (tmp_path / "a.mp3").write_bytes(data[:3000] + b"\xff" * 700 + data[3000:])
    with AudioReader(tmp_path / "a.mp3") as reader:
        assert reader.gaps
        assert abs(sum(map(len, reader.blocks())) - len(LOUD_FIRST)) <= 3 * 1152


@pytest.mark.parametrize("header", [True, False])
def test_a_last_frame_that_is_cut_off_is_left_out(tmp_path: Path, header: bool) -> None:
    data = vbr(tmp_path) if header else headless(vbr(tmp_path))
    whole, _ = read_data(tmp_path / "a.mp3", data)
    found, (warning,) = read_data(tmp_path / "a.mp3", data[:-20])
    assert "ends within a frame" in warning
    assert 0 <= len(whole) - len(found) <= 1152
    np.testing.assert_array_equal(found[:-2000], whole[: len(found) - 2000])
    with pytest.raises(AudioError, match="ends within a frame"):
        read_data(tmp_path / "a.mp3", data[:-20], strict=True)
