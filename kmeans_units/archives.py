"""Arrays of ``.npy``, ``.npz`` and torch's ``.pt`` that promise no more than a limit: a compressed archive of one
kilobyte may stand for a gigabyte, and numpy and torch make room for what a header says before they read.
"""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from codectok.errors import FormatError
from codectok.files.limits import MAX_ARRAY, most, to_raise


def load_arrays(file: Path) -> np.ndarray | dict[str, np.ndarray] | None:
    """What a ``.npy`` or ``.npz`` file holds; None where it is another archive, or one that only a pickle can tell.

    Raises:
        FormatError: larger than its limit says, or than the file.
        ValueError, EOFError, OSError, BadZipFile, NotImplementedError, RuntimeError: damaged, or objects that only a
            pickle can hold, as numpy and zipfile say.
    """
    with open(file, "rb") as opened:
        if opened.read(2) != b"PK":
            opened.seek(0)
            return _array(opened, file, file.stat().st_size)
    with zipfile.ZipFile(file) as archive:
        check_size(file, sum(member.file_size for member in archive.infolist()))
        names = archive.namelist()
        # A file of torch is an archive too, of members that are no arrays.
        if not names or not all(name.endswith(".npy") for name in names):
            return None
        return {name.removesuffix(".npy"): _member(archive, name, file) for name in names}


def check_size(file: Path, size: int) -> None:
    """Refuse an archive of more bytes than ``MAX_ARRAY``.

    Raises:
        FormatError: that.
    """
    if size > most(MAX_ARRAY):
        raise FormatError(
            f"{file} stands for {size} bytes, and more than {most(MAX_ARRAY)} are not read: {to_raise(MAX_ARRAY)}",
            path=file,
        )


def _member(archive: zipfile.ZipFile, name: str, file: Path) -> np.ndarray:
    with archive.open(name) as opened:
        # Read whole: its size has passed the check, and zipfile never gives more than the size that it names.
        data = io.BytesIO(opened.read())
    return _array(data, file, data.getbuffer().nbytes)


def _array(opened: BinaryIO, file: Path, size: int) -> np.ndarray:
    version = np.lib.format.read_magic(opened)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read_header(opened)
    if not kind.hasobject and math.prod(shape) * kind.itemsize > size:
        raise FormatError(f"{file} is damaged: its array of shape {shape} is larger than the file", path=file)
    check_size(file, size)
    opened.seek(0)
    return np.lib.format.read_array(opened, allow_pickle=False)
