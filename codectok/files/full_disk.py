"""A disk that takes no more, whoever notices it first, as one error that names the file and says what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "free some space",
    errno.EROFS: "choose another folder",
    errno.ENOTDIR: "choose another folder",
    errno.ENOENT: "choose another folder",
    errno.EACCES: "get leave to write there, or choose another folder",
    errno.EPERM: "get leave to write there, or choose another folder",
}
"""By the number of an error in writing."""
_HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def is_hopeless(error: BaseException) -> bool:
    """Whether the next file would fail as well: the disk is full or read-only."""
    return isinstance(error, OSError) and error.errno in _HOPELESS


def disk_error(error: BaseException, target: Path) -> OSError | None:
    """What an error in writing a file is, where the disk takes no more; None where that is not its cause.

    Libraries that write files themselves (libsndfile, safetensors, torch) say so in errors of their own, which name
    neither the file nor, some of them, the reason. Ask before what was half-written is removed.
    """
    if is_hopeless(error):
        assert isinstance(error, OSError)
        return OSError(error.errno, os.strerror(error.errno or 0), str(target))
    theirs = isinstance(error, Exception) and not isinstance(error, OSError)
    if theirs and (os.strerror(errno.ENOSPC) in str(error) or _is_full(target.parent)):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
    return None


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Around writing to a file that stays open, or that is appended to: a full disk's error names it."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, path) or error from None


def _is_full(folder: Path) -> bool:
    try:
        disk = os.statvfs(folder)
    except (AttributeError, OSError):  # Windows has none
        return False
    return disk.f_blocks > 0 and disk.f_bavail == 0  # some file systems do not count: all is 0
