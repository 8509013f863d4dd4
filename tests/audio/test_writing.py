"""Writing: what is written can be read, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import codectok
from codectok import audio
from codectok.audio.samples import as_written, to_int16
from codectok.errors import AudioError
from codectok.files.atomic import atomic_path
from tests.audio.making import noise, tone


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
