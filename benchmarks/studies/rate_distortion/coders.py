"""Classical speech coders, by their own command-line programs: none of them is a Python dependency."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from ctypes.util import find_library
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from codectok.audio import resample
from codectok.audio.samples import to_int16
from codectok.errors import CodectokError

from . import amrwb
from .ogg import audio_packets

RATE = 16000
"""Hz of the clips that are coded, and of what comes back."""
_RAW_TYPE = np.dtype("<i2")
_PLACES = {"python": sys.executable, "amrwb": amrwb.__file__}
"""What a command line may name besides its files: a coder's words must not depend on the machine."""
_HERE = {f"{{{name}}}" for name in _PLACES}


class CoderError(CodectokError):
    """A program that failed on a clip."""


@dataclass(frozen=True)
class CoderSetting:
    """One operating point: ``argument`` goes on the command line, ``nominal`` is its kbit/s by the coder's manual."""

    argument: str
    nominal: float


@dataclass(frozen=True)
class Coder:
    """An encoder and a decoder program.

    Attributes:
        name: as plots have it.
        package: Debian's, with both programs.
        rate: Hz that the encoder is fed with, and that the decoder writes.
        settings: operating points.
        encode: command line; ``{setting}``, ``{source}`` and ``{coded}`` stand for the argument and two files.
        decode: command line; ``{setting}``, ``{coded}`` and ``{decoded}``.
        payload: (coded file, seconds that were encoded) -> kbit/s of the coded frames, without the container.
        fixed_rate: whether each frame has the nominal bits; the programs store them in whole bytes, which is no cost of
            the coding (a frame of Codec2's 700C has 28 bits and takes 32 in its file).
        raw: whether sources and results are headerless 16-bit PCM, not WAV.
        frame: samples that the source is filled up to a multiple of with zeros, and then given ``tail`` times more, so
            that the end of the clip comes back in spite of the coder's delay; 0 where the programs see to that.
        tail: see ``frame``.
        libraries: shared libraries that the programs need.
    """

    name: str
    package: str
    rate: int
    settings: tuple[CoderSetting, ...]
    encode: tuple[str, ...]
    decode: tuple[str, ...]
    payload: Callable[[Path, float], float]
    fixed_rate: bool = True
    raw: bool = False
    frame: int = 0
    tail: int = 2
    libraries: tuple[str, ...] = ()

    def missing(self) -> str | None:
        """A program or library that is not installed, or None."""
        programs = (self.encode[0], self.decode[0])
        absent = [program for program in programs if program not in _HERE and shutil.which(program) is None]
        absent += [f"lib{name}" for name in self.libraries if find_library(name) is None]
        return absent[0] if absent else None

    def run(self, clip: np.ndarray, setting: CoderSetting) -> tuple[np.ndarray, float]:
        """Encode and decode float32 [S] at 16 kHz.

        Returns:
            The decoded clip, float32 [about S] at 16 kHz, as late as the coder makes it; and the kbit/s it took.

        Raises:
            CoderError: a program ended with an error, or wrote nothing.
        """
        source = resample(clip, RATE, self.rate)
        if self.frame:
            frames = -(-len(source) // self.frame) + self.tail
            source = np.pad(source, (0, frames * self.frame - len(source)))
        with tempfile.TemporaryDirectory() as folder:
            suffix = ".raw" if self.raw else ".wav"
            paths = {name: Path(folder) / f"{name}{suffix}" for name in ("source", "decoded")}
            paths["coded"] = Path(folder) / "coded.bin"
            self._write(paths["source"], source)
            for command in (self.encode, self.decode):
                self._call([part.format(setting=setting.argument, **paths, **_PLACES) for part in command])
            decoded = self._read(paths["decoded"])
            bitrate = self.payload(paths["coded"], len(source) / self.rate)
        return resample(decoded, self.rate, RATE), bitrate

    def _call(self, command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if done.returncode:
            words = " ".join(done.stderr.split()) or "no message"
            raise CoderError(f"{command[0]} ended with status {done.returncode}: {words[-200:]}")

    def _write(self, path: Path, samples: np.ndarray) -> None:
        if self.raw:
            path.write_bytes(to_int16(samples).astype(_RAW_TYPE).tobytes())
        else:
            soundfile.write(path, to_int16(samples), self.rate, "PCM_16")

    def _read(self, path: Path) -> np.ndarray:
        if not path.is_file() or not path.stat().st_size:
            raise CoderError(f"{self.decode[0]} wrote nothing")
        if self.raw:
            return np.fromfile(path, _RAW_TYPE).astype(np.float32) / 32768
        samples, rate = soundfile.read(path, dtype="float32")
        if rate != self.rate:
            raise CoderError(f"{self.decode[0]} wrote {rate} Hz in place of {self.rate} Hz")
        return np.asarray(samples)


def of_packets(path: Path, seconds: float) -> float:
    """kbit/s of an Ogg file's audio packets of 20 ms each (what opusenc prints as "without overhead")."""
    sizes = audio_packets(path)
    if not sizes:
        raise CoderError("the encoder wrote no packets")
    return 8 * sum(sizes) / (20 * len(sizes))


def of_file(path: Path, seconds: float) -> float:
    """kbit/s of a file without headers."""
    return 8 * path.stat().st_size / seconds / 1000


OPUS = Coder(
    name="Opus",
    package="opus-tools",
    rate=16000,
    settings=tuple(CoderSetting(str(n), n) for n in (6, 9, 12, 16, 24)),
    # Variable bitrate, complexity 10 and 20 ms frames are opusenc's defaults.
    encode=("opusenc", "--quiet", "--vbr", "--bitrate", "{setting}", "{source}", "{coded}"),
    decode=("opusdec", "--quiet", "--rate", "16000", "--no-dither", "{coded}", "{decoded}"),
    payload=of_packets,
    fixed_rate=False,
)
CODEC2 = Coder(
    name="Codec2",
    package="codec2",
    rate=8000,
    settings=(
        CoderSetting("700C", 0.7),
        CoderSetting("1300", 1.3),
        CoderSetting("1600", 1.6),
        CoderSetting("2400", 2.4),
        CoderSetting("3200", 3.2),
    ),
    encode=("c2enc", "{setting}", "{source}", "{coded}"),
    decode=("c2dec", "{setting}", "{coded}", "{decoded}"),
    payload=of_file,
    raw=True,
    frame=320,  # 40 ms, the longest frame of these modes
)
SPEEX = Coder(
    name="Speex",
    package="speex",
    rate=16000,
    settings=tuple(
        CoderSetting(str(q), n) for q, n in ((0, 3.95), (1, 5.75), (2, 7.75), (3, 9.8), (4, 12.8), (5, 16.8), (7, 23.8))
    ),
    encode=("speexenc", "--wideband", "--quality", "{setting}", "{source}", "{coded}"),
    decode=("speexdec", "{coded}", "{decoded}"),
    payload=of_packets,
    frame=320,
)
AMR_WB = Coder(
    name="AMR-WB",
    package="libvo-amrwbenc0 libopencore-amrwb0",
    rate=16000,
    settings=tuple(CoderSetting(f"{kbits:.2f}", kbits) for kbits in (6.60, 8.85, 12.65, 15.85, 23.85)),
    encode=("{python}", "{amrwb}", "encode", "{setting}", "{source}", "{coded}"),
    decode=("{python}", "{amrwb}", "decode", "{setting}", "{coded}", "{decoded}"),
    payload=of_file,
    raw=True,
    frame=amrwb.FRAME,
    libraries=(amrwb.ENCODER, amrwb.DECODER),
)
CODERS = (OPUS, AMR_WB, CODEC2, SPEEX)
