"""A tar with a flipped bit in any header is an error that names the place, never a shorter archive."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from codectok.errors import FormatError
from codectok.items.readers.webdataset import read_tar
from codectok.store.npy import add_member, tar_members

MEMBERS = 4
BLOCKS = 2
"""Of 512 bytes: the header of a member and its content."""


def archive(path: Path) -> bytes:
    with tarfile.open(path, "w") as tar:
        for i in range(MEMBERS):
            add_member(tar, f"{i}.wav", bytes([i + 1]) * 300)
    return path.read_bytes()


@pytest.mark.parametrize("member", range(1, MEMBERS))
@pytest.mark.parametrize("byte", [0, 101, 124, 135, 148, 156, 257, 345])
def test_a_flipped_bit_in_a_header_is_found(tmp_path: Path, member: int, byte: int) -> None:
    path = tmp_path / "a.tar"
    data = bytearray(archive(path))
    assert len(list(read_tar(str(path), str(tmp_path)))) == len(list(tar_members(path))) == MEMBERS
    at = member * BLOCKS * tarfile.BLOCKSIZE
    data[at + byte] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError, match=f"at byte {at}"):
        list(read_tar(str(path), str(tmp_path)))
    with pytest.raises(ValueError, match=f"at byte {at}"):
        list(tar_members(path))


def test_an_archive_without_its_last_blocks_is_whole_and_one_cut_in_a_header_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    end = MEMBERS * BLOCKS * tarfile.BLOCKSIZE
    data = archive(path)
    path.write_bytes(data[:end])
    assert len(list(read_tar(str(path), str(tmp_path)))) == MEMBERS
    path.write_bytes(data[: end - tarfile.BLOCKSIZE - 100])
    with pytest.raises(FormatError):
        list(read_tar(str(path), str(tmp_path)))
