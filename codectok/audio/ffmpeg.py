"""Audio that libsndfile does not read (M4A, AAC, AMR, WebM, WMA, ...), decoded by the ffmpeg that is installed.

Nothing of it is used unless it is asked for: what other versions decode may differ in the last bits.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

from codectok.audio.path import check_file
from codectok.errors import AudioError


def need_ffmpeg() -> None:
    """Raise AudioError if there is no ffmpeg to run."""
    if shutil.which("ffmpeg") is None:
        raise AudioError("ffmpeg is not installed: install it (it is no Python package), or leave out --ffmpeg")


def decoded(path: str, name: str) -> BinaryIO:
    """The first audio stream of a file, decoded into a temporary file, which goes when it is closed.

    Raises:
        AudioError: no ffmpeg, or it cannot read the file.
    """
    need_ffmpeg()
    check_file(Path(path), name)
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
