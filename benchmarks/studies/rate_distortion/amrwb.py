"""AMR-WB (3GPP TS 26.171) as a pair of commands, over the libraries vo-amrwbenc and opencore-amrwb, which bring none.

``python amrwb.py encode KBITS SOURCE CODED`` and ``decode KBITS CODED DECODED``: headerless 16-bit PCM at 16 kHz in the
machine's byte order, and AMR-WB's storage format (RFC 4867, section 5).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
from pathlib import Path

from codectok.errors import FormatError, MissingPackageError

ENCODER, DECODER = "vo-amrwbenc", "opencore-amrwb"
"""Shared libraries."""
MODES = (6.60, 8.85, 12.65, 14.25, 15.85, 18.25, 19.85, 23.05, 23.85)
"""kbit/s of the speech modes, by number."""
FRAME = 320
"""Samples: 20 ms."""
_MAGIC = b"#!AMR-WB\n"
_SIZES = (17, 23, 32, 36, 40, 46, 50, 58, 60)
"""Bytes of a frame after the byte that names its mode, by mode."""


def library(name: str) -> ctypes.CDLL:
    """Open a shared library.

    Raises:
        MissingPackageError: it is not installed.
    """
    found = ctypes.util.find_library(name)
    if found is None:
        raise MissingPackageError(f"lib{name} is not installed", package=f"lib{name}")
    return ctypes.CDLL(found)


def encode(mode: int, pcm: bytes) -> bytes:
    """16-bit PCM, whole frames of it, to a file's bytes; discontinuous transmission off."""
    lib = library(ENCODER)
    lib.E_IF_init.restype = ctypes.c_void_p
    state = ctypes.c_void_p(lib.E_IF_init())
    out, parts = ctypes.create_string_buffer(64), [_MAGIC]
    for at in range(0, len(pcm), 2 * FRAME):
        size = lib.E_IF_encode(state, mode, pcm[at : at + 2 * FRAME], out, 0)
        parts.append(out.raw[:size])
    lib.E_IF_exit(state)
    return b"".join(parts)


def decode(data: bytes) -> bytes:
    """A file's bytes to 16-bit PCM.

    Raises:
        FormatError: not AMR-WB, or a frame that is not speech.
    """
    if not data.startswith(_MAGIC):
        raise FormatError("not an AMR-WB file")
    lib = library(DECODER)
    lib.D_IF_init.restype = ctypes.c_void_p
    state = ctypes.c_void_p(lib.D_IF_init())
    out, parts, at = ctypes.create_string_buffer(2 * FRAME), [], len(_MAGIC)
    while at < len(data):
        mode = data[at] >> 3 & 15
        if mode >= len(MODES):
            raise FormatError(f"frame type {mode} is not speech")
        frame = data[at : at + 1 + _SIZES[mode]]
        lib.D_IF_decode(state, frame, out, 0)
        parts.append(out.raw)
        at += len(frame)
    lib.D_IF_exit(state)
    return b"".join(parts)


def main(task: str, kbits: str, source: str, target: str) -> None:
    """See the module."""
    data = Path(source).read_bytes()
    Path(target).write_bytes(encode(MODES.index(float(kbits)), data) if task == "encode" else decode(data))


if __name__ == "__main__":
    main(*sys.argv[1:])
