from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok import Tokens
from codectok.errors import CodectokError, CodeRangeError, FormatError
from codectok.tokens import CtkReader, CtkWriter
from codectok.tokens.bitpack import pack, packed_bytes, unpack

FINGERPRINT = "0123456789abcdef" * 2
SIZES = (1, 2, 3, 500, 1024, 65536, 65537, 2**31)


def make(sizes: Sequence[int], frames: int, seed: int = 0, *, dedup: bool = False) -> Tokens:
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, size, frames) for size in sizes])
    durations = torch.from_numpy(rng.integers(1, 40, frames)) if dedup else None
    facts = (frames * 960, 24000, Fraction(25), tuple(sizes), FINGERPRINT, durations)
    return Tokens(torch.from_numpy(codes), *facts)


def written(tmp_path: Path, tokens: Tokens) -> bytes:
    tokens.save(tmp_path / "written.ctk")
    return (tmp_path / "written.ctk").read_bytes()


def assert_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        Tokens.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# -- bits


@given(st.lists(st.integers(0, 31), max_size=6), st.integers(0, 40), st.integers(0, 2**32))
def test_pack_and_unpack(widths: list[int], columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [rng.integers(0, 2**width, columns) for width in [*widths, 7]]
    data = pack(rows, [*widths, 7])
    assert len(data) == packed_bytes(columns, [*widths, 7])
    np.testing.assert_array_equal(unpack(data, columns, [*widths, 7]), np.stack(rows))


def test_bits_are_as_documented() -> None:
    # 5 bits 00001, 11111 and then 3 bits 101, 010, most significant first
    assert pack([np.array([1, 31]), np.array([5, 2])], [5, 3]) == bytes([0b00001111, 0b11101010])


# -- round trips


@given(
    sizes=st.lists(st.sampled_from(SIZES), min_size=1, max_size=5),
    frames=st.sampled_from([0, 1, 2, 7, 100, 4095, 4096, 4097, 9000]),
    dedup=st.booleans(),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_any_split_writes_the_same_bytes_and_reads_back(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], frames: int, dedup: bool, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("ctk")
    tokens = make(sizes, frames, dedup=dedup)
    tokens.save(folder / "whole.ctk")
    cuts = [0, *sorted(data.draw(st.lists(st.integers(0, frames), max_size=6))), frames]
    facts = (tokens.sample_rate, tokens.frame_rate, tokens.codebook_sizes, tokens.fingerprint)
    with CtkWriter(folder / "split.ctk", *facts, deduplicated=dedup) as writer:
        for start, end in pairwise(cuts):
            runs = None if tokens.durations is None else tokens.durations[start:end]
            writer.write(tokens.codes[:, start:end].numpy(), runs)
        writer.finish(tokens.num_samples)
    assert (folder / "split.ctk").read_bytes() == (folder / "whole.ctk").read_bytes()
    assert Tokens.load(folder / "whole.ctk") == tokens
    with CtkReader(folder / "whole.ctk") as reader:
        assert (reader.num_samples, reader.num_frames) == (tokens.num_samples, tokens.num_frames)
        assert (reader.sample_rate, reader.frame_rate, reader.codebook_sizes, reader.fingerprint) == facts
        assert reader.num_columns == frames
        pieces = list(reader.blocks())
        assert all(0 < piece.shape[1] <= 4096 for piece in pieces)
        joined = torch.cat([torch.empty((len(sizes), 0), dtype=torch.int64), *pieces], 1)
        assert torch.equal(joined, tokens.expand().codes)


def test_two_passes_at_once(tmp_path: Path) -> None:
    tokens = make((500, 7), 10000)
    written(tmp_path, tokens)
    with CtkReader(tmp_path / "written.ctk") as reader:
        for a, b in zip(reader.blocks(), reader.blocks(), strict=True):
            assert torch.equal(a, b)


def test_the_layout_is_as_documented(tmp_path: Path) -> None:
    tokens = Tokens(torch.tensor([[1, 31], [5, 2]]), 300, 16000, Fraction(25, 2), (32, 200), "ab")
    head = b"\x89CTK" + struct.pack("<BBHIQQHH", 1, 0, 2, 16000, 25, 2, 2, 3) + b"ab" + bytes([32, 200, 1])
    block = struct.pack("<HI", 2, 4) + bytes([0b00001111, 0b11000001, 0b01000000, 0b10000000])
    foot = b"CTKE" + struct.pack("<QQQ", 300, 2, 2) + struct.pack("<I", zlib.crc32(head + block))
    expected = head + struct.pack("<I", zlib.crc32(head)) + block + struct.pack("<I", zlib.crc32(head + block))
    assert written(tmp_path, tokens) == expected + foot + struct.pack("<I", zlib.crc32(head + foot))


def test_the_fixed_cost_is_as_documented(tmp_path: Path) -> None:
    tokens = make((1024,) * 24, 8)
    assert len(written(tmp_path, tokens)) - 24 * 10 == 162


def test_an_hour_is_read_and_written_in_flat_memory(tmp_path: Path) -> None:
    piece = np.random.default_rng(0).integers(0, 1024, (24, 1000))
    tracemalloc.start()
    with CtkWriter(tmp_path / "a.ctk", 24000, 25, (1024,) * 24, FINGERPRINT) as writer:
        for _ in range(90):
            writer.write(piece)
        writer.finish(3600 * 24000)
    with CtkReader(tmp_path / "a.ctk") as reader:
        assert sum(block.shape[1] for block in reader.blocks()) == reader.num_frames == 90000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "a.ctk").stat().st_size < 90000 * 30 + 500
    assert peak < 10e6  # the codes alone are 17 MB


# -- what cannot be written


def test_bad_arguments_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    good: dict[str, object] = {"sample_rate": 24000, "frame_rate": 25, "codebook_sizes": (8,), "fingerprint": "f"}
    bad: list[dict[str, object]] = [
        {"sample_rate": 0},
        {"sample_rate": 2**32},
        {"frame_rate": 0},
        {"frame_rate": -25},
        {"frame_rate": Fraction(1, 2**64)},
        {"codebook_sizes": ()},
        {"codebook_sizes": (8, 0)},
        {"codebook_sizes": (8, 2**31 + 1)},
        {"codebook_sizes": (8,) * 4097},
        {"fingerprint": "f" * 1025},
    ]
    for change in bad:
        with pytest.raises(FormatError):
            CtkWriter(tmp_path / "a.ctk", **{**good, **change})  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_bad_codes_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    one = np.ones(1, np.int64)
    calls: list[tuple[type[CodectokError], tuple[Any, ...], bool]] = [
        (CodeRangeError, ([[0], [8]],), False),
        (CodeRangeError, ([[0], [-1]],), False),
        (FormatError, ([[0]],), False),
        (FormatError, ([0, 0],), False),
        (FormatError, ([[0.0], [0.0]],), False),
        (FormatError, ([[0], [0]], one), False),
        (FormatError, ([[0], [0]],), True),
        (FormatError, ([[0], [0]], one * 0), True),
        (FormatError, ([[0], [0]], one * 2**32), True),
        (FormatError, ([[0], [0]], np.ones(2, np.int64)), True),
    ]
    for error, args, runs in calls:
        writer = CtkWriter(tmp_path / "a.ctk", 24000, 25, (8, 8), FINGERPRINT, deduplicated=runs)
        with pytest.raises(error), writer:
            writer.write(np.array(args[0]), *args[1:])
    for num_samples in (-1, 2**63):
        with pytest.raises(FormatError), CtkWriter(tmp_path / "a.ctk", 24000, 25, (8, 8), FINGERPRINT) as writer:
            writer.finish(num_samples)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    facts = (24000, 25, (1024,), FINGERPRINT)

    def write_and_stop() -> None:
        with CtkWriter(tmp_path / "a.ctk", *facts) as writer:
            writer.write(make((1024,), 9000).codes)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_stop()
    with pytest.raises(CodectokError, match="finish"), CtkWriter(tmp_path / "a.ctk", *facts) as writer:
        writer.write(make((1024,), 9000).codes)
    assert list(tmp_path.iterdir()) == []
    with CtkWriter(tmp_path / "a.ctk", *facts) as writer:
        writer.finish(0)
        with pytest.raises(FormatError, match="finish"):
            writer.write(np.zeros((1, 1), np.int64))
    assert [p.name for p in tmp_path.iterdir()] == ["a.ctk"]


# -- damage


@pytest.mark.parametrize("dedup", [False, True])
def test_every_truncation_and_every_flipped_bit_is_found(tmp_path: Path, dedup: bool) -> None:
    data = written(tmp_path, make((1, 3, 500), 9, dedup=dedup))
    for length in range(len(data)):
        assert_refused(tmp_path / "cut.ctk", data[:length])
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert_refused(tmp_path / "flipped.ctk", bytes(flipped))
    for more in (b"\0", data, data[-36:]):
        assert_refused(tmp_path / "longer.ctk", data + more)


def test_moved_missing_and_foreign_blocks_are_found(tmp_path: Path) -> None:
    data = written(tmp_path, make((256,), 3 * 4096))
    start, size = 32 + 32 + 2 + 4, 4096 + 10
    head, blocks, foot = data[:start], [data[start + i * size : start + (i + 1) * size] for i in range(3)], data[-36:]
    assert head + b"".join(blocks) + foot == data
    other = written(tmp_path, make((256,), 3 * 4096, seed=1))
    foreign = other[start : start + size]
    for wrong in ([0, 2, 1], [0, 1], [0, 1, 2, 2], [1, 2], []):
        assert_refused(tmp_path / "a.ctk", head + b"".join(blocks[i] for i in wrong) + foot)
    assert_refused(tmp_path / "a.ctk", head + foreign + blocks[1] + blocks[2] + foot)
    assert_refused(tmp_path / "a.ctk", head + b"".join(blocks) + other[-36:])


@given(st.binary(max_size=300), st.booleans())
@settings(deadline=None)
def test_any_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, magic: bool) -> None:
    path = tmp_path_factory.mktemp("ctk") / "a.ctk"
    assert_refused(path, b"\x89CTK\x01" + data if magic else data)


def forge(
    *,
    k: int = 1,
    rate: int = 24000,
    above: int = 25,
    below: int = 1,
    flags: int = 0,
    name: bytes = b"f",
    sizes: bytes = b"\x08",
    blocks: Sequence[tuple[int, bytes]] = ((1, b"\x00"),),
    lengths: Sequence[int] | None = None,
    foot: tuple[int, int, int] = (960, 1, 1),
) -> bytes:
    """A file with right checksums around whatever is asked for."""
    head = b"\x89CTK" + struct.pack("<BBHIQQHH", 1, flags, k, rate, above, below, len(name), len(sizes)) + name + sizes
    crc = first = zlib.crc32(head)
    out = head + struct.pack("<I", crc)
    for i, (count, payload) in enumerate(blocks):
        block = struct.pack("<HI", count, len(payload) if lengths is None else lengths[i]) + payload
        crc = zlib.crc32(block, crc)
        out += block + struct.pack("<I", crc)
    end = b"CTKE" + struct.pack("<QQQI", *foot, crc)
    return out + end + struct.pack("<I", zlib.crc32(end, first))


HOSTILE = {
    "no codebooks": forge(k=0, sizes=b""),
    "too many codebooks": forge(k=65535, sizes=b"\x01" * 65535),
    "empty codebook": forge(sizes=b"\x00"),
    "absurd codebook": forge(sizes=b"\xff\xff\xff\xff\x7f"),
    "unending size": forge(sizes=b"\x80"),
    "fewer sizes than codebooks": forge(k=2, sizes=b"\x88\x01"),
    "more sizes than codebooks": forge(k=1, sizes=b"\x08\x08"),
    "no sample rate": forge(rate=0),
    "no frame rate": forge(above=0),
    "frame rate over zero": forge(below=0),
    "unknown flag": forge(flags=2),
    "long fingerprint": forge(name=b"f" * 1025),
    "fingerprint that is not text": forge(name=b"\xff"),
    "huge count of columns": forge(foot=(960, 2**63, 2**63)),
    "more columns than bits": forge(foot=(960, 200, 200)),
    "wrong count of columns": forge(foot=(960, 2, 2)),
    "wrong count of frames": forge(foot=(960, 1, 2**60)),
    "huge count of samples": forge(foot=(2**64 - 1, 1, 1)),
    "code outside its codebook": forge(sizes=b"\x05", blocks=[(1, b"\xe0")]),
    "block of no columns": forge(blocks=[(0, b"")] * 1000, foot=(960, 0, 0)),
    "block of too many columns": forge(blocks=[(4097, b"\x00" * 1537)], foot=(960, 4097, 4097)),
    "block longer than its columns": forge(blocks=[(1, b"\x00" * 100)]),
    "block shorter than its columns": forge(blocks=[(4096, b"\x00")], foot=(960, 20, 20)),
    "block longer than the file": forge(lengths=[2**32 - 1]),
    "block without widths": forge(flags=1, blocks=[(1, b"")]),
    "widths beyond the most": forge(flags=1, blocks=[(1, b"\xff" + b"\x00" * 33)]),
    "durations that do not sum": forge(flags=1, blocks=[(1, b"\x03\x00")], foot=(960, 1, 2)),
    "many blocks the footer knows not of": forge(blocks=[(1, b"\x00")] * 500),
}


def test_the_forger_can_write_a_good_file(tmp_path: Path) -> None:
    (tmp_path / "a.ctk").write_bytes(forge(blocks=[(1, b"\xe0")]))
    assert Tokens.load(tmp_path / "a.ctk").codes.tolist() == [[7]]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_little_memory(tmp_path: Path, name: str) -> None:
    tracemalloc.start()
    assert_refused(tmp_path / "a.ctk", HOSTILE[name])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300_000 + 200 * len(HOSTILE[name])


def test_a_run_of_any_length_is_expanded_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    payload = bytes([31]) + b"\xff\xff\xff\xff" + b"\xc0"  # 31 bits of ones: 2^31 frames of one code, 111
    (tmp_path / "a.ctk").write_bytes(forge(flags=1, blocks=[(1, payload[:6])], foot=(960, 1, 2**31)))
    with CtkReader(tmp_path / "a.ctk") as reader:
        assert reader.num_frames == 2**31
        with pytest.raises(FormatError, match="CODECTOK_MAX_CODES"):
            next(iter(reader.blocks()))
        monkeypatch.setenv("CODECTOK_MAX_CODES", str(2**31))
        assert next(iter(reader.blocks())).shape == (1, 4096)


def test_versions_missing_files_and_folders(tmp_path: Path) -> None:
    data = bytearray(forge())
    data[4] = 2
    (tmp_path / "new.ctk").write_bytes(data)
    with pytest.raises(FormatError, match="upgrade"):
        Tokens.load(tmp_path / "new.ctk")
    (tmp_path / "a.wav").write_bytes(b"RIFF" * 100)
    with pytest.raises(FormatError, match=r"not a \.ctk file"):
        Tokens.load(tmp_path / "a.wav")
    for missing in (tmp_path / "missing.ctk", tmp_path):
        with pytest.raises(FormatError, match="is not a file"):
            Tokens.load(missing)
