"""Options of the LLM probe, as suites write them: one flat list."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from codectok.errors import FormatError

from ..nouns import InputInfo

SIZES: Mapping[str, tuple[int, int]] = {"tiny": (64, 2), "small": (128, 4), "base": (256, 6)}
"""Width and layers of language models made here."""
PLACES = ("table", "row", "column")


@dataclass(frozen=True)
class LLMOptions:
    """How the probe is built.

    Attributes:
        llm: folder or hub id of a causal language model; "" makes a small one, see ``text_model.py``.
        size: of one made here, a key of :data:`SIZES`.
        pieces: of text in one made here: 256 bytes, an end, and what byte pair encoding of the labels adds.
        tune: "full", or "lora": low-rank updates of the linear layers, and the rows of new tokens.
        rank: of LoRA.
        projector: of features, a name of ``codectok.llm.continuous.PROJECTORS``.
        projector_options: of that projector.
        subsample: frames to one soft token, by the projector's own ratio or else by their mean; of codes, every n-th
            frame is kept. 0 leaves it to the projector, and keeps all codes.
        dedup: runs of equal codes are one token.
        bpe: codes are merged by the tokenizer's BPE; a number takes the first merges, up to that vocabulary.
        init: of the rows of codes, see ``llm.model.initialise``; "" is "normal" for a model made here, whose rows
            are random, and "mean+noise" for a trained one.
        choice: a class is chosen by its log-likelihood, "sum" over the tokens of its name and end, or "mean" of them.
        cue: text between audio and label; "" is the task's label.
        max_positions: longest sequence; 0 is what the model says.
        table, row, column: where the figure belongs in a table of the report. Names in braces are filled in: input,
            arm, task, dataset, and any option: ``row: "{input}"``, ``column: "BPE {bpe}"``.
    """

    llm: str = ""
    size: str = "small"
    pieces: int = 400
    tune: str = "full"
    rank: int = 16
    projector: str = "linear"
    projector_options: Mapping[str, Any] = field(default_factory=dict)
    subsample: int = 0
    dedup: bool = True
    bpe: bool | int = False
    init: str = ""
    choice: str = "mean"
    cue: str = ""
    max_positions: int = 0
    table: str = ""
    row: str = "{input}"
    column: str = "{arm}"

    def __post_init__(self) -> None:
        known = {"size": tuple(SIZES), "tune": ("full", "lora"), "choice": ("mean", "sum")}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise FormatError(f"LLM probe: {name} {getattr(self, name)!r}: write {', '.join(values)}")
        for name, least in {"pieces": 257, "rank": 1, "subsample": 0, "bpe": 0, "max_positions": 0}.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise FormatError(f"LLM probe: {name} {value!r}: write a whole number from {least} on")
        for name in PLACES:
            wrong = [w for _, w, _, _ in string.Formatter().parse(getattr(self, name)) if w and w not in _FILLED]
            if wrong:
                raise FormatError(f"LLM probe: {name} has {{{wrong[0]}}}: there are {', '.join(sorted(_FILLED))}")

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> LLMOptions:
        """From the options of a suite.

        Raises:
            FormatError: an option there is not, or a value that cannot be used.
        """
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise FormatError(f"the LLM probe has no option {', '.join(unknown)}; it has {', '.join(known)}")
        text = {f.name for f in fields(cls) if f.type == "str"}
        values: dict[str, Any] = {k: str(v or "") if k in text else v for k, v in options.items()}
        return cls(**values)

    def place(self, task: str, dataset: str, arm: str, info: InputInfo) -> dict[str, str]:
        """The notes table, row and column; none without a table."""
        if not self.table:
            return {}
        model = self.llm.rstrip("/").rpartition("/")[2] or f"{self.size} (made here)"
        shown = {"bpe": self.bpe or "none", "subsample": self.subsample or 1, "llm": model}
        words = asdict(self) | shown | {"task": task, "dataset": dataset, "arm": arm, "input": info.label}
        return {name: getattr(self, name).format_map(words) for name in PLACES}


_FILLED = {f.name for f in fields(LLMOptions)} - set(PLACES) | {"task", "dataset", "arm", "input"}
