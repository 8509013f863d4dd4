"""WAV: the samples are found whatever the sizes in its header say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from codectok.audio import AudioReader
from codectok.audio.samples import as_written
from codectok.errors import AudioError
from tests.audio.making import RATE, encoded, noise, read, read_data

X = as_written(noise(8000))
SIZE = 2 * len(X)


def chunk(name: bytes, body: bytes, padded: bool = True) -> bytes:
    return name + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2 * padded)


def wav(tmp_path: Path, data_size: int | None = None, riff_size: int | None = None) -> bytes:
    data = bytearray(encoded(tmp_path, X, "WAV", "PCM_16"))
    assert data[36:44] == b"data" + SIZE.to_bytes(4, "little")
    for at, size in ((40, data_size), (4, riff_size)):
        if size is not None:
            data[at : at + 4] = (size % 2**32).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("data_size", "riff_size"),
    [
        (0, None),
        (0, 0),
        (0, 36),
        (2**32 - 1, None),
        (2**32 - 1, 2**32 - 1),
        (0x7FFFFFFF, 0x7FFFFFFF),
        (SIZE + 36, None),
        (SIZE // 2, None),
        (SIZE // 2, SIZE // 2 + 36),
        (SIZE - 100, None),
    ],
)
def test_sizes_that_lie(tmp_path: Path, data_size: int, riff_size: int | None) -> None:
    path = tmp_path / "a.wav"
    data = wav(tmp_path, data_size, riff_size)
    found, (warning,) = read_data(path, data)
    np.testing.assert_array_equal(found, X)
    assert warning.startswith(f"{path} has a header that claims ")
    with AudioReader(path) as reader:
        assert (reader.num_samples, reader.rate) == (len(X), RATE)
        np.testing.assert_array_equal(np.concatenate(list(reader.blocks(start=7000))), X[7000:])
    with pytest.raises(AudioError, match=r"a header that claims .*repair it"):
        read(path, strict=True)


def test_more_than_4_gib_with_a_size_that_wrapped(tmp_path: Path) -> None:
    size = 2**32 + 32_000
    header = wav(tmp_path, size, size + 36)[:44]
    with open(tmp_path / "a.wav", "wb") as file:
        file.write(header)
        file.seek(44 + size - SIZE)  # the rest takes no place on the disk
        file.write(wav(tmp_path)[44:])
    with AudioReader(tmp_path / "a.wav") as reader:
        assert reader.num_samples == size // 2
        assert "claims 32000 bytes of audio" in reader.warnings[0]
        end = np.concatenate(list(reader.blocks(start=size // 2 - len(X))))
    np.testing.assert_array_equal(end, X)


@pytest.mark.parametrize("format", ["RF64", "W64", "AIFF", "AU", "CAF", "NIST", "VOC"])
def test_other_containers(tmp_path: Path, format: str) -> None:
    data = encoded(tmp_path, X, format, "PCM_16")
    found, warnings = read_data(tmp_path / "a", data)
    np.testing.assert_array_equal(found, X)
    assert not warnings
    with pytest.raises(AudioError, match=r"truncated|malformed"):
        read_data(tmp_path / "a", data[: len(data) // 2])


def test_an_empty_wav_with_a_chunk_after_it_stays_empty(tmp_path: Path) -> None:
    data = wav(tmp_path)[:40] + bytes(4) + chunk(b"LIST", b"INFOISFT" + chunk(b"", b"")[:4] + b"ab" * 40)
    with pytest.raises(AudioError, match="no samples"):
        read_data(tmp_path / "a.wav", data)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("where", ["before", "after"])
def test_chunks_of_odd_length(tmp_path: Path, padded: bool, where: str) -> None:
    whole = wav(tmp_path)
    odd = chunk(b"LIST", b"INFOx", padded)
    parts = [odd, whole[36:]] if where == "before" else [whole[36:], odd, chunk(b"junk", b"ab")]
    found, warnings = read_data(tmp_path / "a.wav", whole[:36] + b"".join(parts))
    np.testing.assert_array_equal(found, X)
    assert [w.endswith("chunks without their padding") for w in warnings] == [True] * (where == "before" and not padded)


def test_samples_of_odd_length_without_padding(tmp_path: Path) -> None:
    data = encoded(tmp_path, X[:999], "WAV", "PCM_U8")
    found, _ = read_data(tmp_path / "a.wav", data[: 44 + 999] + chunk(b"LIST", b"INFO"))
    assert len(found) == 999


@pytest.mark.parametrize("tail", [b"TAG" + b" " * 125, chunk(b"id3 ", b"ab")])
def test_tags_are_no_damage(tmp_path: Path, tail: bytes) -> None:
    found, _ = read_data(tmp_path / "a.wav", wav(tmp_path) + tail, strict=True)
    np.testing.assert_array_equal(found, X)


def test_a_few_bytes_after_the_audio_are_skipped_with_a_warning(tmp_path: Path) -> None:
    found, (warning,) = read_data(tmp_path / "a.wav", wav(tmp_path) + b"\1\2\3\4" * 20)
    np.testing.assert_array_equal(found, X)
    assert "80 bytes after its audio" in warning


def test_joined_files_are_read_as_one(tmp_path: Path) -> None:
    one = wav(tmp_path)
    found, _ = read_data(tmp_path / "a.wav", one + one + one)
    np.testing.assert_array_equal(found, np.concatenate([X, X, X]))


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="truncated: 15900 of 16000 bytes"):
        read_data(tmp_path / "a.wav", wav(tmp_path)[:-100])
    found, (warning,) = read_data(tmp_path / "a.wav", wav(tmp_path)[:-1])
    np.testing.assert_array_equal(found, X[:-1])
    assert "claims 16000 bytes" in warning


@pytest.mark.parametrize(("rate", "channels"), [(0, 1), (10_000_000, 1), (2**31, 1), (16000, 255), (10_000_000, 255)])
def test_what_no_recording_has(tmp_path: Path, rate: int, channels: int) -> None:
    data = bytearray(encoded(tmp_path, np.zeros((200, 1), np.float32), "WAV", "PCM_16"))
    data[22:24], data[24:28] = channels.to_bytes(2, "little"), rate.to_bytes(4, "little")
    data[32:34] = (2 * channels).to_bytes(2, "little")
    with pytest.raises(AudioError, match=r"no recording has|cannot be read as audio"):
        read_data(tmp_path / "a.wav", bytes(data))


def test_samples_beyond_any_scale(tmp_path: Path) -> None:
    x = noise(8000)
    x[77] = 1e19
    soundfile.write(tmp_path / "a.wav", x, RATE, "FLOAT")
    with pytest.raises(AudioError, match="beyond any scale"):
        read(tmp_path / "a.wav")
