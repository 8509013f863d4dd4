"""What can be wrong with the path of an audio file, said in one line; and paths in messages."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from codectok.errors import AudioError, UnreadFormatError
from codectok.files.suffixes import SHARD_SUFFIXES, UNREAD_SUFFIXES


def check_file(path: Path, name: str) -> None:
    """Say what is wrong with a path, and never wait for a pipe or device.

    Raises:
        AudioError: missing, empty, or no file.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a zero byte in the name
        link = os.path.islink(path)
        what = "is a link to nothing" if link else "does not exist: check the path"
        raise AudioError(f"{name} {what}", path=path) from None
    except OSError as error:
        raise AudioError(f"{name} cannot be opened ({error.strerror}): check the path", path=path) from None
    if stat.S_ISDIR(found.st_mode):
        raise AudioError(f"{name} is not a file: give the path of an audio file{_unlisted(path)}", path=path)
    if not stat.S_ISREG(found.st_mode):
        raise AudioError(f"{name} is not a file but a pipe, socket or device: write the audio to a file", path=path)
    if found.st_size == 0:
        raise AudioError(f"{name} is an empty file: leave it out or copy it again", path=path)


def not_read(name: str, reason: str) -> AudioError:
    """The error of a file that is no audio, or of a kind that is not read."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix in UNREAD_SUFFIXES:
        return UnreadFormatError(f"{name} is not read ({reason}): convert it, e.g. with ffmpeg, or give --ffmpeg")
    if suffix in SHARD_SUFFIXES:
        return UnreadFormatError(f"{name} is not read, since it lies beside audio: give it as a corpus of its own")
    return AudioError(f"{name} cannot be read as audio ({reason}): give WAV, FLAC, Ogg or MP3, or convert it")


def _unlisted(folder: Path) -> str:
    """Why a folder stands where a file should: a corpus has one as an item if it could not be searched."""
    try:
        os.scandir(folder).close()
    except OSError as error:
        return f" (the folder cannot be listed: {error.strerror}; allow reading it)"
    return ""


def printable(path: str) -> str:
    """A path for messages: one line of valid text, the bytes that are not UTF-8 and control characters as \\xNN."""
    text = path.encode("utf-8", "surrogateescape" if os.name == "posix" else "replace").decode(
        "utf-8", "backslashreplace"
    )
    return "".join(c if c.isprintable() or ord(c) > 159 else f"\\x{ord(c):02x}" for c in text)
