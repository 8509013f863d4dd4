"""Options of the LLM probe, as suites write them: one flat list."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, Literal

from annotated_types import Ge

from codectok.errors import FormatError
from codectok.settings.build import build_from
from codectok.settings.kinds import Count, Natural, OneOf

from ..contract import InputInfo

SIZES: Mapping[str, tuple[int, int]] = {"tiny": (64, 2), "small": (128, 4), "base": (256, 6)}
"""Width and layers of language models made here."""
PLACES = ("table", "row", "column")


@dataclass(frozen=True)
class LLMOptions:
    """How the probe is built."""

    llm: str = ""
    """Folder or hub id of a causal language model; empty makes a small one, see ``text_model.py``."""
    size: Annotated[str, OneOf(SIZES)] = "small"
    """Of one made here, a key of :data:`SIZES`."""
    pieces: Annotated[int, Ge(257)] = 400
    """Of text in one made here: 256 bytes, an end, and what byte pair encoding of the labels adds."""
    tune: Literal["full", "lora"] = "full"
    """What is trained: all, or with ``lora`` low-rank updates of the linear layers, and the rows of new tokens."""
    rank: Count = 16
    """Of LoRA."""
    projector: str = "linear"
    """Of features, a name of ``codectok.llm.continuous.PROJECTORS``."""
    projector_options: Mapping[str, Any] = field(default_factory=dict)
    """Of that projector."""
    subsample: Natural = 0
    """Frames to one soft token, by the projector's own ratio or else by their mean; of codes, every n-th frame is kept.
    0 leaves it to the projector, and keeps all codes."""
    dedup: bool = True
    """Runs of equal codes are one token."""
    bpe: bool | Natural = False
    """Codes are merged by the tokenizer's BPE; a number takes the first merges, up to that vocabulary."""
    init: str = ""
    """Of the rows of codes, see ``codectok.llm.model.initialise``; empty is ``normal`` for a model made here, whose
    rows are random, and ``mean+noise`` for a trained one."""
    choice: Literal["mean", "sum"] = "mean"
    """A class is chosen by its log-likelihood, the sum over the tokens of its name and end, or their mean."""
    cue: str = ""
    """Text between audio and label; empty is the task's label."""
    max_positions: Natural = 0
    """Longest sequence; 0 is what the model says."""
    table: str = ""
    """Table of the report that the figure belongs in."""
    row: str = "{input}"
    """Its row there. Names in braces are filled in: input, arm, task, dataset, and any option."""
    column: str = "{arm}"
    """Its column, likewise: ``BPE {bpe}``."""

    def __post_init__(self) -> None:
        for name in PLACES:
            wrong = [w for _, w, _, _ in string.Formatter().parse(getattr(self, name)) if w and w not in _FILLED]
            if wrong:
                raise FormatError(f"LLM probe: {name} has {{{wrong[0]}}}: there are {', '.join(sorted(_FILLED))}")

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> LLMOptions:
        """From the options of a suite; null leaves one at its default.

        Raises:
            FormatError: an option there is not, or a value that cannot be used.
        """
        return build_from(cls, {k: v for k, v in options.items() if v is not None}, "LLM probe")

    def place(self, task: str, dataset: str, arm: str, info: InputInfo) -> dict[str, str]:
        """The notes table, row and column; none without a table."""
        if not self.table:
            return {}
        model = self.llm.rstrip("/").rpartition("/")[2] or f"{self.size} (made here)"
        shown = {"bpe": self.bpe or "none", "subsample": self.subsample or 1, "llm": model}
        words = asdict(self) | shown | {"task": task, "dataset": dataset, "arm": arm, "input": info.label}
        return {name: getattr(self, name).format_map(words) for name in PLACES}


_FILLED = {f.name for f in fields(LLMOptions)} - set(PLACES) | {"task", "dataset", "arm", "input"}
