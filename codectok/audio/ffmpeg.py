"""Audio that libsndfile does not read (M4A, AAC, AMR, WebM, WMA, ...), decoded by the ffmpeg that is installed.

Nothing of it is used unless it is asked for: what other versions decode may differ in the last bits.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tempfile
import threading
from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO, cast

from codectok.audio.path import check_file
from codectok.errors import AudioError
from codectok.files.stretch import Stretch

MOST_FILES = 4
"""Decoded files that are kept, a process."""


def need_ffmpeg() -> None:
    """Raise AudioError if there is no ffmpeg to run."""
    if shutil.which("ffmpeg") is None:
        raise AudioError("ffmpeg is not installed: install it (it is no Python package), or leave out --ffmpeg")


_kept: OrderedDict[tuple[str, int, int], tuple[BinaryIO, threading.Lock]] = OrderedDict()
_lock = threading.Lock()


def decoded(path: str, name: str) -> BinaryIO:
    """The first audio stream of a file, decoded into a temporary file.

    It is kept for a while: to be measured and read, and for each of its segments, a file is opened again.

    Raises:
        AudioError: no ffmpeg, or it cannot read the file.
    """
    need_ffmpeg()
    check_file(Path(path), name)
    state = os.stat(path)
    key = os.path.abspath(path), state.st_size, state.st_mtime_ns
    with _lock:
        if key not in _kept:
            _kept[key] = _decode(path, name), threading.Lock()
        _kept.move_to_end(key)
        while len(_kept) > MOST_FILES:
            _kept.popitem(last=False)  # the file goes with the last who reads it
        file, lock = _kept[key]
        return io.BufferedReader(Stretch(file, 0, os.fstat(file.fileno()).st_size, lock))


def forget() -> None:
    """Let go of what is kept."""
    with _lock:
        _kept.clear()


def _decode(path: str, name: str) -> BinaryIO:
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", f"file:{os.path.abspath(path)}", "-map", "0:a:0"]
    target = tempfile.TemporaryFile()  # noqa: SIM115 (closed by whoever reads it)
    try:
        # Sun's AU, since its header can say that the length is not known: the other end of a pipe cannot go back.
        command += ["-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=target, stderr=subprocess.PIPE, check=False)
        if done.returncode or target.tell() == 0 == os.fstat(target.fileno()).st_size:
            reason = " ".join(done.stderr.decode("utf-8", "replace").split())[-200:] or "it holds no audio"
            raise AudioError(f"{name} cannot be decoded by ffmpeg ({reason}): copy or convert it again", path=path)
    except BaseException:
        target.close()
        raise
    return cast(BinaryIO, target)
