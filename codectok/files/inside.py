"""Names that were read from a file, before they become paths: a stranger's file names nothing outside its folder."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from codectok.errors import FormatError

_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows takes for devices, with any extension."""


def safe_name(name: Any, where: object) -> str:
    """A name of one file or folder, as it is; ``where`` it was read, for errors.

    Raises:
        FormatError: it is no text, or would be a path: with a separator, a drive, ``..``, a NUL, or a device.
    """
    if (
        not isinstance(name, str)
        or name in ("", ".", "..")
        or re.search(r"[/\\\x00-\x1f\x7f]|^[A-Za-z]:", name)
        or _DEVICE.fullmatch(name)
    ):
        raise FormatError(f"{where} names {name!r:.80}, which is no plain file name: do not trust it", given=name)
    return name


_ODD = re.compile(r'[%\\<>:"|?*\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|[. ]$|^[. ]')
"""What is escaped in the name of an output: what some system does not allow, and dots that hide a file."""
_LONGEST = 160
"""Bytes of a name made of an id; systems allow 255, and an ending is added."""


def id_path(id: str) -> PurePosixPath:
    """The path of an output that is named after an id: its slashes are folders, and different ids differ.

    What a system may not allow is spelled ``%XX``, so that an id of letters, digits and common punctuation stays as it
    is. A name that is too long is cut and ends in a checksum of the whole.

    Examples:
        >>> print(id_path("book/0419-a"), id_path("../a:b"), id_path("/con"))
        book/0419-a %2E%2E/a%3Ab %/%63on
    """
    return PurePosixPath(*map(_name_of, id.split("/")))


def _name_of(part: str) -> str:
    if set(part) == {"."}:
        return part.replace(".", "%2E")
    name = _ODD.sub(lambda m: _spelled(m[0]), part) or "%"
    if _DEVICE.fullmatch(name):
        name = _spelled(name[0]) + name[1:]
    if len(name.encode()) > _LONGEST:
        digest = hashlib.sha256(part.encode(errors="surrogatepass")).hexdigest()[:16]
        name = f"{name.encode()[: _LONGEST - 24].decode(errors='ignore')}%~{digest}"
    return name


def _spelled(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="surrogatepass"))


def safe_names(files: Any, where: object) -> dict[str, str]:
    """The object of file names and checksums in ``where``, each a plain name.

    Raises:
        FormatError: something else, or a name that is a path, see :func:`safe_name`.
    """
    if not isinstance(files, dict) or not all(isinstance(value, str) for value in files.values()):
        raise FormatError(f"{where} is damaged: its files are no object of names and checksums")
    return {safe_name(name, where): value for name, value in files.items()}


def inside(folder: Path, name: Any, where: object) -> Path:
    """The path of a plain name in a folder that does not lead out of it by a link.

    Raises:
        FormatError: no plain name, see :func:`safe_name`, or a link to somewhere else.
    """
    path = folder / safe_name(name, where)
    if path.is_symlink() and not any(path.resolve().is_relative_to(root) for root in _roots(folder)):
        raise FormatError(f"{path} links to {os.readlink(path)}, outside its folder: do not trust it", path=path)
    return path


def _roots(folder: Path) -> Iterator[Path]:
    """Where links may lead: the folder, and the files of the cache that the hub's client unpacked it from."""
    yield folder.resolve()
    for parent in folder.absolute().parents:
        if parent.name == "snapshots" and (parent.parent / "blobs").is_dir():
            yield (parent.parent / "blobs").resolve()
