"""One run at a time in a folder: a lock that dies with the process that held it, however that dies."""

from __future__ import annotations

import errno
import os
import socket
import threading
from pathlib import Path
from typing import IO
from weakref import WeakValueDictionary

from codectok.errors import CodectokError

UNSUPPORTED = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}
"""What a file system without locks answers: the run goes on unguarded, as on Windows."""
_held: WeakValueDictionary[tuple[str, int], FolderLock] = WeakValueDictionary()


class FolderLock:
    """Holds ``path``, an empty file but for who holds it, until ``release`` or the end of the process.

    The kernel keeps the lock, not the file: one that a killed run left is free. Network file systems pass it on to
    their server, so that it holds between machines (NFS from version 4, Lustre mounted with ``flock``). A lock that
    this very thread took before and never let go is taken over: the run that it was for has failed, since one thread
    does one thing at a time (in a notebook, its traceback keeps it alive).

    Raises:
        CodectokError: another run holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None
        try:
            import fcntl
        except ImportError:
            return
        key = (os.path.realpath(path), threading.get_ident())
        if key in _held:
            _held[key].release()
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = open(path, "a+", encoding="utf-8")  # noqa: SIM115
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = _holder(path)
                file.close()
                raise CodectokError(
                    f"another run{holder} is writing {path.parent.parent}: wait until it ends, or choose another folder"
                ) from None
            except OSError as e:
                if e.errno not in UNSUPPORTED:
                    file.close()
                    raise
            # A run that ended meanwhile has deleted the file that was opened: that lock guards nothing.
            if _same(path, file.fileno()):
                break
            file.close()
        file.truncate(0)
        file.write(f"{socket.gethostname()} {os.getpid()}\n")
        file.flush()
        self._file = file
        _held[key] = self

    def release(self) -> None:
        """Let go of it; again is harmless."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _same(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    try:
        host, process = path.read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return ""
    return f" (process {process} on {host})"
