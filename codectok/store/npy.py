"""Arrays and archives whose bytes depend on their content alone."""

from __future__ import annotations

import io
import math
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from codectok.files.tar_end import check_end


def npy_bytes(array: np.ndarray) -> bytes:
    """The ``.npy`` file of an int32 array, as every numpy writes it."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array, dtype="<i4"), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def read_npy(stream: BinaryIO) -> np.ndarray:
    """int64 array of a ``.npy`` file of integers; never a pickle.

    Raises:
        ValueError: damaged, or not integers.
    """
    start = stream.tell()
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array of another version")
    shape, _, kind = np.lib.format.read_array_header_1_0(stream)
    # numpy makes room for what the header says before it reads.
    if math.prod(shape) * kind.itemsize > stream.seek(0, io.SEEK_END) - start:
        raise ValueError("an array that is larger than its file")
    stream.seek(start)
    array = np.lib.format.read_array(stream, allow_pickle=False)
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"an array of {array.dtype}, not of integers")
    return array.astype(np.int64)


def add_member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file to a tar: no time, no owner, so the same members give the same bytes on any machine."""
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime, member.uid, member.gid = len(data), 0o644, 0, 0, 0
    tar.addfile(member, io.BytesIO(data))


def tar_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file of a tar, in order.

    Raises:
        ValueError: a damaged tar.
    """
    if path.stat().st_size % tarfile.RECORDSIZE:
        raise ValueError("cut off")  # a tar that ends after a whole member would pass for a shorter one
    try:
        with tarfile.open(path, "r|") as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is None:
                    raise ValueError(f"{member.name} is not a file")
                yield member.name, file.read()
            check_end(path, tar.offset)
    except (tarfile.TarError, EOFError, OverflowError, MemoryError) as e:
        raise ValueError(str(e)) from e
