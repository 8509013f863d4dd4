"""Systems of a table: inputs and floors, in groups by what they are and by DASB's classes of bitrate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..inputs.spec import CLASSES, CODERS
from ..runner.results import Row

CEILING, CONTINUOUS, QUANTIZED, FLOOR = "ceiling", "continuous", "quantized features", "floors"
_LOW, _MEDIUM, _HIGH = (CLASSES[name] for name in ("low", "medium", "high"))
BITRATES = {
    "below 0 kbit/s": _LOW[0],
    f"low bitrate (to {_LOW[1]:g} kbit/s)": _LOW[1],
    f"between low and medium ({_LOW[1]:g} to {_MEDIUM[0]:g} kbit/s)": _MEDIUM[0],
    f"medium bitrate ({_MEDIUM[0]:g} to {_MEDIUM[1]:g} kbit/s)": _MEDIUM[1],
    f"between medium and high ({_MEDIUM[1]:g} to {_HIGH[0]:g} kbit/s)": _HIGH[0],
    f"high bitrate ({_HIGH[0]:g} to {_HIGH[1]:g} kbit/s)": _HIGH[1],
    f"above {_HIGH[1]:g} kbit/s": float("inf"),
}
"""Heading -> most kbit/s; the first without any in it."""
_UNKNOWN = "bitrate unknown"
GROUPS = (*list(BITRATES)[1:], _UNKNOWN, QUANTIZED, CONTINUOUS, CEILING, FLOOR)
"""In the order of tables: as DASB, codes from low bitrate up, then continuous."""


@dataclass(frozen=True)
class System:
    """What a line of a table stands for.

    Attributes:
        spec, label, kind, tokenizer, fitted_on: of the input.
        floor: "" or the name of the floor that its labels make it.
        bitrate: kbit/s, None for continuous ones.
        token_rate, frame_rate: as the row has them.
        group: heading of the table that it stands under.
        codes: whether it is a rival: codes of a tokenizer or coder, no floor and no ceiling.
    """

    spec: str
    label: str
    kind: str
    tokenizer: str
    floor: str
    bitrate: float | None
    token_rate: float | None
    frame_rate: str
    fitted_on: str
    group: str

    @property
    def codes(self) -> bool:
        """See the class."""
        return self.group in BITRATES or self.group == _UNKNOWN

    @property
    def order(self) -> tuple[int, float, str]:
        """Of lines within a table."""
        return GROUPS.index(self.group), self.bitrate or 0.0, self.label

    @property
    def family(self) -> str:
        """What lines of a plot join: the tokenizer or coder at its bitrates."""
        name = self.spec.split("@")[0]
        return name.rsplit(":", 1)[0] if name.rsplit(":", 1)[-1] in ("features", "quantized") else name


def system_of(row: Row, number: int = 1) -> System:
    """The system of a row; ``number`` above 1 tells settings of one label apart."""
    info: dict[str, Any] = row["input"]
    floor = row["floor"] or ""
    label = info["label"] + (f" ({floor})" if floor else "") + (f" #{number}" if number > 1 else "")
    return System(
        spec=info["spec"],
        label=label,
        kind=info["kind"],
        tokenizer=info["tokenizer"],
        floor=floor,
        bitrate=info["bitrate_kbps"],
        token_rate=info["token_rate"],
        frame_rate=info["frame_rate"],
        fitted_on=info["fitted_on"],
        group=_group(info, floor),
    )


def _group(info: dict[str, Any], floor: str) -> str:
    source = info["spec"].split("@")[0].split(":")[0]
    if floor or source == "random":
        return FLOOR
    if source in ("original", "pcm"):
        return CEILING
    if info["kind"] == "continuous":
        return CONTINUOUS
    if info["kind"] == "quantized":
        return QUANTIZED
    if source not in CODERS and info["kind"] == "audio":
        return CEILING
    if info["bitrate_kbps"] is None:
        return _UNKNOWN
    # As much slack as the choice of codebooks by bitrate has.
    return next(name for name, most in BITRATES.items() if info["bitrate_kbps"] <= most * 1.0005 and most > 0)
