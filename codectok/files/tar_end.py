"""The end of a tar file: Python's reader takes a damaged header for it, and says nothing of the members behind."""

from __future__ import annotations

import os
import tarfile


def check_end(path: str | os.PathLike[str], offset: int) -> None:
    """Make sure that an archive ends where reading stopped: with blocks of zeros, or with the file.

    Args:
        path: of the tar file, not compressed.
        offset: of the block that was not read as a header any more, ``TarFile.offset``.

    Raises:
        tarfile.ReadError: something else stands there, such as a header with a flipped bit.
    """
    with open(path, "rb") as file:
        file.seek(offset)
        if any(file.read(tarfile.BLOCKSIZE)):
            raise tarfile.ReadError(f"the header of a member at byte {offset} is damaged")
