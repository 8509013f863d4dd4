"""Segments of files: all of them, or an error."""

from __future__ import annotations

import errno
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import soundfile

from codectok.audio import AudioReader
from codectok.audio.decoder import Decoder
from codectok.errors import AudioError
from codectok.items import decoded
from codectok.items.clips import read_clip, seconds_of
from codectok.items.item import Item
from tests.audio.making import RATE, encoded, noise, read

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


@pytest.fixture
def long_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Path]:
    monkeypatch.setattr(decoded, "MIN_SECONDS", 1.0)
    path = tmp_path / "a"
    data = encoded(tmp_path, noise(12 * RATE), *request.param)
    if request.param[0] == "FLAC":  # as an encoder that writes to a pipe leaves it: without its length
        data = data[:21] + bytes([data[21] & 0xF0]) + bytes(4) + data[26:]
    path.write_bytes(data)
    yield path
    decoded.forget_decoded()


@pytest.mark.parametrize(
    "long_file", [("OGG", "OPUS"), ("OGG", "VORBIS"), ("MP3", None), ("FLAC", None)], indirect=True
)
def test_shuffled_segments_cost_one_decoding(long_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = read(long_file)
    count = 0
    read_samples = Decoder.read

    def counting(self: Decoder, wanted: int) -> np.ndarray:
        nonlocal count
        block = read_samples(self, wanted)
        count += len(block)
        return block

    monkeypatch.setattr(Decoder, "read", counting)
    order = np.random.default_rng(0).permutation(48)
    for i in order:
        clip = read_clip(Item(str(i), str(long_file), i / 4, 0.25), RATE)
        np.testing.assert_array_equal(clip, whole[i * RATE // 4 : (i + 1) * RATE // 4])
    assert count <= len(whole) + 10 * RATE
    assert len(read_clip(Item("end", str(long_file), 11.5), RATE)) == RATE // 2
    with pytest.raises(AudioError, match="is not in"):
        read_clip(Item("after", str(long_file), 11.5, 2.0), RATE)


@pytest.mark.parametrize("long_file", [("OGG", "OPUS")], indirect=True)
def test_what_is_kept_goes_when_it_is_not_needed(long_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = read(long_file)
    item = Item("a", str(long_file), 1.0, 0.5)
    read_clip(item, RATE)
    assert len(decoded._kept) == 1
    (kept,) = decoded._kept.values()
    with decoded._used(item, AudioReader(long_file)) as used:
        assert used is kept
        decoded.forget_decoded()
        assert not kept._file.closed
    assert kept._file.closed
    monkeypatch.setattr(decoded, "SHARE", 2**60)  # no space at all
    np.testing.assert_array_equal(read_clip(item, RATE), whole[RATE : 3 * RATE // 2])
    assert not decoded._kept


@pytest.mark.parametrize("long_file", [("OGG", "OPUS")], indirect=True)
def test_a_full_disk_costs_time_alone(long_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = read(long_file)
    files = []

    class Full(io.FileIO):
        left = 100_001

        def write(self, data: memoryview) -> int:
            if not self.left:
                raise OSError(errno.ENOSPC, "No space left on device")
            taken = super().write(data[: self.left])
            self.left -= taken
            return taken

    def open_full(mode: str = "w+b", buffering: int = -1) -> IO[bytes]:
        raw = Full(tmp_path / "full", mode)
        files.append(raw if buffering == 0 else io.BufferedRandom(raw))
        return files[-1]

    monkeypatch.setattr(decoded.tempfile, "TemporaryFile", open_full)
    item = Item("a", str(long_file), 1.0, 0.5)
    np.testing.assert_array_equal(read_clip(item, RATE), whole[RATE : 3 * RATE // 2])
    assert not decoded._kept
    assert [file.closed for file in files] == [True]


@pytest.mark.parametrize("long_file", [("OGG", "OPUS")], indirect=True)
def test_a_partial_write_is_gone_on_with_and_a_lost_block_is_not(
    long_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = read(long_file)

    class Slow(io.FileIO):
        full = False

        def write(self, data: memoryview) -> int:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data[:4097])

    slow = Slow(tmp_path / "slow", "w+b")
    monkeypatch.setattr(decoded.tempfile, "TemporaryFile", lambda **_: slow)
    file = decoded.DecodedFile(AudioReader(long_file))
    file.decode_to(RATE)
    np.testing.assert_array_equal(np.concatenate(list(file.blocks(1.0, 0, RATE))), whole[:RATE])
    slow.full = True
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            file.decode_to(len(whole))
        slow.full = False  # the block is lost all the same
    file.retire()
    assert slow.closed


@pytest.mark.parametrize("long_file", [("OGG", "OPUS")], indirect=True)
def test_no_segment_of_a_kept_file_fails_when_others_push_it_out(
    long_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.write_bytes(long_file.read_bytes())
    monkeypatch.setattr(decoded, "MOST_FILES", 1)
    item = Item("a", str(long_file), 1.0, 0.5)
    found = decoded._file_of

    def then_pushed_out(asked: Item, reader: AudioReader) -> decoded.DecodedFile | None:
        file = found(asked, reader)
        if asked is item:
            thread = threading.Thread(target=read_clip, args=(Item("b", str(other), 1.0, 0.5), RATE))
            thread.start()
            thread.join(0.5)  # it must wait
            threads.append(thread)
        return file

    threads: list[threading.Thread] = []
    monkeypatch.setattr(decoded, "_file_of", then_pushed_out)
    assert len(read_clip(item, RATE)) == RATE // 2
    threads[0].join()
    assert [key[0] for key in decoded._kept] == [str(other)]


@pytest.mark.parametrize("long_file", [("OGG", "OPUS")], indirect=True)
def test_segments_of_a_long_file_are_warned_of_its_damage(long_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_samples, damaged = Decoder.read, 12 * RATE - 1600

    def until(self: Decoder, count: int) -> np.ndarray:
        at = getattr(self, "at", 0)
        if at + count > damaged:
            raise AudioError("damaged")
        block = read_samples(self, count)
        self.at = at + len(block)
        return block

    monkeypatch.setattr(Decoder, "read", until)
    _, warnings = read(long_file)
    assert len(warnings) == 1
    assert "ends with a damaged frame" in warnings[0]
    for start, wanted in ((11.0, warnings), (10.0, []), (1.0, []), (11.0, warnings)):
        told: list[str] = []
        read_clip(Item("a", str(long_file), start, 0.95), RATE, told=told)
        assert told == wanted
    assert len(decoded._kept) == 1


@pytest.mark.parametrize("long_file", [("OGG", "OPUS")], indirect=True)
def test_a_file_that_changes_is_decoded_again(long_file: Path, tmp_path: Path) -> None:
    item = Item("a", str(long_file), 1.0, 0.5)
    before = read_clip(item, RATE)
    long_file.write_bytes(encoded(tmp_path, noise(13 * RATE, 7), "OGG", "OPUS"))
    whole, _ = read(long_file)
    after = read_clip(item, RATE)
    np.testing.assert_array_equal(after, whole[RATE : 3 * RATE // 2])
    assert not np.array_equal(before, after)
