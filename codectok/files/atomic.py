"""Files that appear under their name whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codectok.files.full_disk import disk_error


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path to write in place of ``path``.

    It lies in the same folder (made if missing) and has the same suffix. When the block ends, what was written there
    is synced to disk and renamed to ``path``, replacing a file of that name; on any exception it is removed.

    Raises:
        OSError: ``path`` is a folder or a device, or its folder cannot be written to, or the disk is full, whatever
            a library that wrote there made of that.
    """
    target = Path(path)
    if target.exists() and not target.is_file():
        # Renaming onto a device such as /dev/null would replace the device itself.
        raise FileExistsError(f"{target} is not a regular file: give the name of a file to write")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Random, so that threads and machines that share a folder never write to the same name; cut, so that a target
    # with the longest name a file system takes still has one. Not made by mkstemp, which would leave it mode 0600.
    temporary = target.with_name(f".{target.stem[:40]}.{secrets.token_hex(6)}.tmp{target.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException as error:
        full = disk_error(error, target)
        temporary.unlink(missing_ok=True)
        if full is not None:
            raise full from error
        raise
    _sync_folder(target.parent)


def copy_file(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Copy a file whole or not at all; onto itself it does nothing."""
    if Path(source).resolve() != Path(target).resolve():
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed runs left in a folder; only who holds its lock may."""
    for path in folder.glob(".*.tmp*"):
        if re.fullmatch(r"\..*\.[0-9a-f]{12}\.tmp(\..*)?", path.name) and path.is_file():
            path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the system lets a folder be synced."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
