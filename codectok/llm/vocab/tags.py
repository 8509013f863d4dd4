"""Tokens that are not codes: markers, task and language tags, timestamps."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from codectok.errors import CodeRangeError, FormatError

KINDS = ("marker", "task", "language", "attribute")


@dataclass(frozen=True)
class Mark:
    """One token beside the codes.

    Attributes:
        role: what it is called in code, such as "begin".
        token: its name in the tokenizer; "" where it has an id alone.
        id: its token id.
        kind: "marker", "task", "language" or "attribute".
    """

    role: str
    token: str
    id: int
    kind: str = "marker"

    def __post_init__(self) -> None:
        if self.kind not in KINDS or not self.role or self.id < 0:
            raise FormatError(f"marker {self.role!r} (id {self.id}) must have a role, an id and a kind of {KINDS}")


@dataclass(frozen=True)
class TimeTags:
    """Timestamps as tokens on an even grid: <|0.00|>, <|0.02|>, ... <|30.00|> in Whisper (Radford et al., 2022).

    Attributes:
        base_id: id of time 0.
        per_second: tokens a second; 50 is Whisper's.
        count: number of tokens; 1501 reach 30 s.
    """

    base_id: int
    per_second: int = 50
    count: int = 1501

    def __post_init__(self) -> None:
        if self.base_id < 0 or self.count < 1 or self.per_second < 1 or 100 % self.per_second:
            raise FormatError("timestamps need a base id, a count and a number a second that divides 100")

    def id(self, seconds: float) -> int:
        """Token id of a time in s, rounded to the grid.

        Raises:
            CodeRangeError: a time outside the grid.
        """
        step = round(seconds * self.per_second) if -1 < seconds < self.count else -1
        if not 0 <= step < self.count:
            last = (self.count - 1) / self.per_second
            raise CodeRangeError(f"no timestamp token for {seconds} s: they reach from 0 to {last:g} s")
        return self.base_id + step

    def seconds(self, id: int) -> float | None:
        """Time of a token id in s, or None if it is no timestamp."""
        step = id - self.base_id
        return step / self.per_second if 0 <= step < self.count else None

    def token(self, id: int) -> str:
        """Name of a timestamp token."""
        return f"<|{(id - self.base_id) / self.per_second:.2f}|>"

    def read(self, token: str) -> int | None:
        """Id of a timestamp's name, or None if it is none of these."""
        match = re.fullmatch(r"<\|([0-9]{1,6}\.[0-9]{2})\|>", token)
        if match is None or float(match[1]) * self.per_second > self.count - 1:
            return None
        id = self.id(float(match[1]))
        return id if self.token(id) == token else None


Tag = tuple[str, str, str]  # kind, role, token


def whisper_tags(languages: Iterable[str] = ("en",)) -> list[Tag]:
    """Task and language tokens of Whisper: <|transcribe|>, <|translate|>, <|notimestamps|>, <|en|>, ..."""
    tags: list[Tag] = [("task", name, f"<|{name}|>") for name in ("transcribe", "translate", "notimestamps")]
    return tags + [("language", name, f"<|{name}|>") for name in languages]


def speechx_tags() -> list[Tag]:
    """Task tokens of SpeechX (Wang et al., 2023): noise suppression, speech removal, target speaker, editing."""
    return [("task", name, f"<{name}>") for name in ("ns", "sr", "tse", "soe", "mask", "eoe")]


def viola_tags(tasks: Iterable[str] = ("asr", "mt", "tts"), languages: Iterable[str] = ("en", "zh")) -> list[Tag]:
    """A task id and language ids, as VioLA has them (Wang et al., 2023); the paper gives the ids no names."""
    tags: list[Tag] = [("task", f"task_{name}", f"<|task_{name}|>") for name in tasks]
    return tags + [("language", f"lang_{name}", f"<|lang_{name}|>") for name in languages]
