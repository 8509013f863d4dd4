"""One run at a time in an output folder: a lock that dies with the process that held it, however that dies."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from codectok.errors import CodectokError

NAME = ".lock"
UNSUPPORTED = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}
"""What a file system without locks answers: the run goes on unguarded."""


class FolderLock:
    """Holds an empty file in a folder from its making to ``release`` or the end of a ``with`` block.

    The kernel keeps the lock, not the file: one that a killed run left is free. Network file systems pass it on to
    their server, so that it holds between machines (NFS from version 4, Lustre mounted with ``flock``). The thread
    that holds a lock may take it again. The last release removes the file, and the folder where that made it and
    nothing came into it.

    Args:
        folder: made if missing.
        name: of the file, such as ``.work/lock`` where that folder is what a finished run takes away.

    Raises:
        CodectokError: another run holds it, or ``folder`` is a file.
        OSError: the folder cannot be written to.
    """

    def __init__(self, folder: str | os.PathLike[str], name: str = NAME) -> None:
        self.folder, self.path = Path(folder), Path(folder) / name
        if self.folder.exists() and not self.folder.is_dir():
            raise CodectokError(f"{self.folder} is a file: give a folder to write")
        self._made = not self.folder.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(os.path.realpath(self.path), is_singleton=True)
        self._held = False
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise CodectokError(
                f"another run is writing {self.folder}: wait until it ends, or choose another folder"
            ) from None
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            return
        self._held = True
        self._file = os.stat(self.path)

    def release(self) -> None:
        """Let go of it; again is harmless."""
        if not self._held:
            return
        self._held = False
        last = self._lock.lock_counter == 1
        # While it is held still, so that nobody takes a lock on a file that is about to go; a folder that was put in
        # place of this one meanwhile may hold another run's.
        with contextlib.suppress(OSError):
            if last and os.path.samestat(os.stat(self.path), self._file):
                self.path.unlink()
        self._lock.release()
        if last and self._made:
            with contextlib.suppress(OSError):  # it holds something
                self.folder.rmdir()

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def is_vacant(folder: Path) -> bool:
    """Whether a folder holds nothing but perhaps a lock."""
    return all(path.name == NAME for path in folder.iterdir())
