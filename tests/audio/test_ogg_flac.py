"""Ogg and FLAC: joined, cut off, and damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codectok.audio import AudioReader
from codectok.errors import AudioError
from tests.audio.making import RATE, encoded, noise, read_data

CODECS = ["VORBIS", "OPUS"]
X = noise(6 * RATE)


@pytest.mark.parametrize("codec", CODECS)
def test_chained_ogg_is_read_as_one(tmp_path: Path, codec: str) -> None:
    one, two = encoded(tmp_path, X, "OGG", codec), encoded(tmp_path, noise(20_000, 1), "OGG", codec)
    path = tmp_path / "a.ogg"
    expected = np.concatenate([read_data(path, data)[0] for data in (one, two, one)])
    found, warnings = read_data(path, one + two + one, strict=True)
    np.testing.assert_array_equal(found, expected)
    assert len(found) == 2 * len(X) + 20_000
    assert not warnings
    with AudioReader(path) as reader:
        assert reader.num_samples == len(found)
        part = np.concatenate(list(reader.blocks(start=90_000, stop=120_000)))
    np.testing.assert_array_equal(part, found[90_000:120_000])


def test_chained_ogg_of_several_rates_is_refused(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "b.ogg", noise(8000), 24000)
    with pytest.raises(AudioError, match="joined streams, at 16000 and 24000 Hz"):
        read_data(tmp_path / "a.ogg", encoded(tmp_path, X, "OGG", "VORBIS") + (tmp_path / "b.ogg").read_bytes())


@pytest.mark.parametrize("codec", CODECS)
def test_a_damaged_page_is_said(tmp_path: Path, codec: str) -> None:
    data = encoded(tmp_path, X, "OGG", codec)
    middle = len(data) // 2
    (tmp_path / "a.ogg").write_bytes(data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :])
    with AudioReader(tmp_path / "a.ogg") as reader:
        assert reader.gaps
        assert "damaged or missing pages" in reader.warnings[0]
        assert 0.5 * len(X) < sum(map(len, reader.blocks())) < len(X)
    with pytest.raises(AudioError, match="damaged or missing pages"):
        AudioReader(tmp_path / "a.ogg", strict=True)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("keep", [0.5, 0.95])
def test_an_ogg_that_is_cut_off_is_said(tmp_path: Path, codec: str, keep: float) -> None:
    data = encoded(tmp_path, X, "OGG", codec)
    found, (warning,) = read_data(tmp_path / "a.ogg", data[: int(keep * len(data))])
    assert "may have been cut off" in warning
    assert 0 < len(found) < len(X)


def test_junk_after_an_ogg(tmp_path: Path) -> None:
    found, (warning,) = read_data(tmp_path / "a.ogg", encoded(tmp_path, X, "OGG", "VORBIS") + b"junk" * 300)
    assert "1200 bytes that are no audio" in warning
    assert len(found) == len(X)


@pytest.mark.parametrize("second", [X, noise(70_000, 3)])
def test_joined_flac_is_refused(tmp_path: Path, second: np.ndarray) -> None:
    with pytest.raises(AudioError, match="joined streams"):
        read_data(tmp_path / "a.flac", encoded(tmp_path, X, "FLAC") + encoded(tmp_path, second, "FLAC"))


def test_a_flac_that_claims_too_little(tmp_path: Path) -> None:
    data = bytearray(encoded(tmp_path, X, "FLAC"))
    whole, _ = read_data(tmp_path / "a.flac", bytes(data))
    data[22:26] = (50_000).to_bytes(4, "big")
    found, (warning,) = read_data(tmp_path / "a.flac", bytes(data))
    np.testing.assert_array_equal(found, whole)
    assert "claims 50000 samples" in warning
    with pytest.raises(AudioError, match="claims 50000 samples"):
        read_data(tmp_path / "a.flac", bytes(data), strict=True)


@pytest.mark.parametrize("count", [10**9, 2**36 - 1])
def test_a_flac_that_claims_too_much(tmp_path: Path, count: int) -> None:
    data = bytearray(encoded(tmp_path, X, "FLAC"))
    data[21], data[22:26] = data[21] & 0xF0 | count >> 32, (count & 0xFFFFFFFF).to_bytes(4, "big")
    with pytest.raises(AudioError, match=f"truncated: 96000 of {count}"):
        read_data(tmp_path / "a.flac", bytes(data))


def test_a_flac_without_the_end_of_its_last_frame(tmp_path: Path) -> None:
    data = encoded(tmp_path, X, "FLAC")
    whole, _ = read_data(tmp_path / "a.flac", data)
    found, (warning,) = read_data(tmp_path / "a.flac", data[:-20])
    assert "a damaged frame" in warning
    assert 0 < len(whole) - len(found) <= 4096
    np.testing.assert_array_equal(found, whole[: len(found)])
    with pytest.raises(AudioError, match="damaged"):
        read_data(tmp_path / "a.flac", data[:-20], strict=True)


def test_junk_after_a_flac(tmp_path: Path) -> None:
    data = encoded(tmp_path, X, "FLAC")
    found, _ = read_data(tmp_path / "a.flac", data + b"junk" * 1000)
    np.testing.assert_array_equal(found, read_data(tmp_path / "b.flac", data)[0])
