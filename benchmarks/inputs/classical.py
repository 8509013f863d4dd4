"""Classical speech coders as inputs: Opus, AMR-WB, Codec2 and Speex, in resynthesis only."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from codectok.errors import CodectokError
from codectok.fingerprint import fingerprint

from ..contract import RATE, InputInfo, NotComputed
from ..studies.rate_distortion.align import find_delays, remove_delay
from ..studies.rate_distortion.coders import CODERS, Coder, CoderSetting
from .input import Input

BY_NAME = {coder.name.lower(): coder for coder in CODERS}
LOWEST, HIGHEST = 6.0, 256.0
"""kbit/s that opusenc takes for a mono clip."""


class ClassicalInput(Input):
    """One coder at one setting.

    Args:
        spec: as the suite has it.
        coder: its programs.
        setting: operating point.
    """

    def __init__(self, spec: str, coder: Coder, setting: CoderSetting) -> None:
        self.coder, self.setting = coder, setting
        self.info = InputInfo(
            spec=spec,
            label=f"{coder.name} {setting.nominal:g} kbit/s",
            kind="audio",
            tokenizer="",
            fingerprint=fingerprint({"input": "coder", "encode": coder.encode, "setting": setting.argument}),
            frame_rate=Fraction(50),
            bitrate_kbps=setting.nominal,
        )

    def resynthesise(self, clips: Sequence[np.ndarray]) -> tuple[list[np.ndarray], float | None]:
        """Each clip without the coder's delay; and the kbit/s of all coded frames, without the container.

        Where each frame has a fixed number of bits, those are counted, not the bytes that the program stores them in.

        Raises:
            NotComputed: a program is missing.
            CoderError: a program failed on a clip.
        """
        if missing := self.coder.missing():
            raise NotComputed(f"{missing} is not installed: on Debian, apt install {self.coder.package}")
        decoded, bitrates = zip(*(self.coder.run(clip, self.setting) for clip in clips), strict=True)
        delays = find_delays(clips, decoded, RATE)
        aligned = [remove_delay(y, d, len(x)) for x, y, d in zip(clips, decoded, delays, strict=True)]
        measured = float(np.average(bitrates, weights=[len(clip) for clip in clips]))
        return aligned, self.setting.nominal if self.coder.fixed_rate else measured


def open_classical(spec: str, name: str, kbps: float) -> ClassicalInput:
    """The coder's setting nearest to a bitrate: ``codec2@1.2`` is the mode 1300.

    Raises:
        NotComputed: its programs are missing.
        CodectokError: no such coder, or a bitrate that Opus does not have.
    """
    if name not in BY_NAME:
        raise CodectokError(f"no coder {name!r}; there are {', '.join(BY_NAME)}")
    coder = BY_NAME[name]
    if missing := coder.missing():
        raise NotComputed(f"{coder.name}: {missing} is not installed: on Debian, apt install {coder.package}")
    if name != "opus":
        return ClassicalInput(spec, coder, min(coder.settings, key=lambda s: abs(s.nominal - kbps)))
    if not LOWEST <= kbps <= HIGHEST:
        raise CodectokError(f"{spec}: Opus takes {LOWEST:g} to {HIGHEST:g} kbit/s")
    return ClassicalInput(spec, coder, CoderSetting(f"{kbps:g}", kbps))
