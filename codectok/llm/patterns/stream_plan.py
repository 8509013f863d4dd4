"""StreamPlan: how utterances are said in several streams at once; what a dataset records and a model folder keeps.

Four plans have names. For frames of codebooks a, b, c:

    delay     a0 a1 a2 $  _  _       each codebook a step later than the one before (MusicGen, Moshi)
              ^  b0 b1 b2 $  _       heads: the streams of a step independently
              ^  ^  c0 c1 c2 $
    depth     a0 a1 a2 $             a frame a step; heads: a second transformer says its codes, coarse first
              b0 b1 b2 $             (RQ-Transformer, Moshi, CSM)
              c0 c1 c2 $
    valle     a0 a1 a2 $             codebook a step by step; then b given a, c given a and b, all frames at
                                     once (VALL-E)
    grouped   a0 a3 a6 $             three frames a step (SLAM-Omni); heads: the streams of a step independently
              a1 a4 $  _
              a2 a5 _  _

A text stream, where there is one, is a row of its own before the codebooks (Moshi's inner monologue).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from codectok.errors import FormatError
from codectok.llm.patterns.cells import Fill
from codectok.llm.patterns.delay import Delay
from codectok.llm.patterns.grouped import Grouped
from codectok.llm.patterns.pattern import Pattern
from codectok.llm.patterns.spec import from_dict, to_dict

HEADS = ("parallel", "depth", "nar")
"""Streams of a step independently; one after the other; the first codebook alone, then the others level by level."""
NAMES = ("delay", "depth", "valle", "grouped")
GROUP = 3  # SLAM-Omni's best


@dataclass(frozen=True)
class StreamPlan:
    """An arrangement of rows in streams, and the heads that say it.

    Attributes:
        pattern: of the rows that are said step by step. It marks ends.
        heads: see ``HEADS``.
        sizes: codebook sizes, K.
        text: ids of the text stream, the last of which stands for no text; 0 is none.

    Raises:
        FormatError: a pattern that cannot arrange these rows, that marks no ends, or whose streams change their row.
    """

    pattern: Pattern
    heads: str
    sizes: tuple[int, ...]
    text: int = 0

    def __post_init__(self) -> None:
        if self.heads not in HEADS:
            raise FormatError(f"heads {self.heads!r}: give one of {', '.join(HEADS)}")
        self.pattern.check(len(self.rows))
        if not self.pattern.ends:
            raise FormatError("this pattern marks no ends, so speech would never stop: use delay or grouped")
        book, _ = self.pattern.cells(np.arange(64), len(self.rows))
        if (book != book[:, :1]).any():
            raise FormatError("a stream of this pattern takes turns between codebooks: use delay or grouped")

    @cached_property
    def rows(self) -> tuple[int, ...]:
        """Ids of each row that is said step by step: the text, then codebooks."""
        said = self.sizes[:1] if self.heads == "nar" else self.sizes
        return ((self.text,) if self.text else ()) + said

    @cached_property
    def row_of(self) -> tuple[int, ...]:
        """The row of each stream."""
        return tuple(self.pattern.cells(np.zeros(1, dtype=np.int64), len(self.rows))[0][:, 0].tolist())

    @cached_property
    def place_of(self) -> tuple[int, ...]:
        """Of each stream, which frame of a step it says: 0, but in groups."""
        return tuple(self.row_of[:s].count(row) for s, row in enumerate(self.row_of))

    @cached_property
    def codebook_of(self) -> tuple[int, ...]:
        """The codebook of each stream; -1 of text."""
        return tuple(row - bool(self.text) for row in self.row_of)

    @property
    def group(self) -> int:
        """Frames a step."""
        return max(self.place_of) + 1

    @cached_property
    def fill(self) -> Fill:
        """Ids of the cells without a code: of each stream the two after its own ids, start and end."""
        ids = [self.rows[row] for row in self.row_of]
        ends = [n + 1 for n in ids]
        return Fill(ids, ids, ends, ends)

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Rows [R, T] to steps [S, L]; ``pattern.inverse`` undoes it."""
        return self.pattern.apply(rows, self.fill)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        plain = {"pattern": to_dict(self.pattern), "heads": self.heads, "sizes": self.sizes, "text": self.text}
        found: dict[str, Any] = json.loads(json.dumps(plain))
        return found

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> StreamPlan:
        """Undo ``to_dict``.

        Raises:
            FormatError: not the description of a plan.
        """
        try:
            sizes, text = tuple(int(n) for n in plain["sizes"]), int(plain["text"])
            return cls(from_dict(plain["pattern"]), str(plain["heads"]), sizes, text)
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"this is no description of streams ({error})") from None

    def __str__(self) -> str:
        return f"{json.dumps(to_dict(self.pattern))}, heads {self.heads}" + (", with a text stream" * bool(self.text))


def read_plan(text: str, sizes: tuple[int, ...], text_ids: int = 0) -> StreamPlan | None:
    """A plan by name, or of a pattern's JSON with a key ``heads``; None for a pattern of one stream.

    Args:
        text: ``delay``, ``depth``, ``valle``, ``grouped``, or JSON: ``{"pattern": "grouped", "group": 5}``,
            ``{"pattern": "delay", "delays": [0, 2, 2, 2], "heads": "depth"}``. Delays are of the codebooks.
        sizes: codebook sizes.
        text_ids: of the text stream, see ``StreamPlan``.

    Raises:
        FormatError: settings that do not go together.
    """
    try:
        plain = json.loads(text)
    except ValueError:
        plain = {"pattern": text}
    if not isinstance(plain, dict):
        return None
    heads = str(plain.pop("heads", {"depth": "depth", "valle": "nar"}.get(str(plain.get("pattern")), "parallel")))
    count = 1 if heads == "nar" else len(sizes)
    if plain.get("pattern") in ("depth", "valle"):
        plain |= {"pattern": "delay", "delays": [0] * count}
    if plain.get("pattern") == "grouped":
        plain = {"group": GROUP, **plain}
    found = from_dict(plain)
    if not isinstance(found, (Delay, Grouped)):
        return None if found.streams(len(sizes)) == 1 else StreamPlan(found, heads, sizes, text_ids)
    found = dataclasses.replace(found, ends=True)
    if isinstance(found, Delay) and text_ids:
        found.check(count)
        found = dataclasses.replace(found, delays=(0, *found.of(count)))
    return StreamPlan(found, heads, sizes, text_ids)


def same_plan(mine: StreamPlan | None, theirs: StreamPlan | None, who: str, whose: str) -> None:
    """Check that two plans are one.

    Args:
        mine: of a dataset; None is one stream.
        theirs: of a model folder.
        who: names the first,
        whose: and this the second.

    Raises:
        FormatError: they differ; the line says in what.
    """
    if mine == theirs:
        return
    if mine is None or theirs is None:
        many, one = (whose, who) if mine is None else (who, whose)
        raise FormatError(f"{many} has several streams, {one} has one: pack and train with the same --pattern")
    if len(mine.sizes) != len(theirs.sizes):
        raise FormatError(f"{who} has {len(mine.sizes)} codebooks, {whose} has {len(theirs.sizes)}: pack it again")
    if mine.sizes != theirs.sizes:
        raise FormatError(
            f"{who} has codebooks of {list(mine.sizes)} codes, {whose} of {list(theirs.sizes)}: pack it again"
        )
    raise FormatError(f"{who} is arranged by {mine}, {whose} by {theirs}: pack it again with that --pattern")
