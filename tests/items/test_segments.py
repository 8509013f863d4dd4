"""Segments of files: all of them, or an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from codectok.errors import AudioError
from codectok.items.clips import read_clip, seconds_of
from codectok.items.item import Item
from tests.audio.making import RATE, encoded, noise

FORMATS = [("WAV", "PCM_16"), ("FLAC", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None), ("AIFF", None)]


@pytest.mark.parametrize(("format", "subtype"), FORMATS)
def test_a_segment_that_ends_after_its_file_is_an_error(tmp_path: Path, format: str, subtype: str | None) -> None:
    path = tmp_path / "a"
    path.write_bytes(encoded(tmp_path, noise(2 * RATE), format, subtype))
    for offset, duration in ((0.5, 2.0), (1.9, 0.3), (2.5, 0.5), (2.5, None)):
        with pytest.raises(AudioError, match=r"is not in .* which has 2 s: correct the manifest"):
            read_clip(Item("a", str(path), offset, duration), RATE)
    assert len(read_clip(Item("a", str(path), 0.5, 1.55), RATE)) == 1.5 * RATE  # times are rounded


def test_a_segment_of_an_mp3_without_a_header(tmp_path: Path) -> None:
    x = np.concatenate([noise(RATE, scale=0.3), np.zeros(3 * RATE, np.float32)])
    data = encoded(tmp_path, x, "MP3", bitrate_mode="VARIABLE")
    (tmp_path / "a.mp3").write_bytes(data[data.index(data[:2], 4) :])
    assert seconds_of(Item("a", str(tmp_path / "a.mp3"))) == pytest.approx(4, abs=0.3)
    assert len(read_clip(Item("a", str(tmp_path / "a.mp3"), 3.0, 1.0), RATE)) == RATE
    with pytest.raises(AudioError, match=r"is not in .*: correct the manifest"):
        read_clip(Item("a", str(tmp_path / "a.mp3"), 3.0, 2.0), RATE)


def test_segments_of_a_file_with_gaps_are_refused(tmp_path: Path) -> None:
    data = encoded(tmp_path, noise(4 * RATE), "OGG", "OPUS")
    middle = len(data) // 2
    (tmp_path / "a.ogg").write_bytes(data[:middle] + b"????" + data[middle + 4 :])
    assert 0 < len(read_clip(Item("a", str(tmp_path / "a.ogg")), RATE)) < 4 * RATE
    with pytest.raises(AudioError, match="a segment may not lie where it did"):
        read_clip(Item("a", str(tmp_path / "a.ogg"), 3.0, 0.5), RATE)


def test_floats_at_the_scale_of_integers_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(RATE) * 32768, RATE, "FLOAT")
    with pytest.raises(AudioError, match="scale of integers"):
        read_clip(Item("a", str(tmp_path / "a.wav")), RATE)
