"""Patterns: exact, invertible arrangements of codes [K, T] into the steps of a language model."""

from codectok.llm.patterns.cells import Cell, Fill
from codectok.llm.patterns.delay import Delay, dia, musicgen, parallel
from codectok.llm.patterns.flatten import Flatten, PartialFlatten
from codectok.llm.patterns.grouped import Grouped, SuperTokens
from codectok.llm.patterns.moshi import MoshiStreams
from codectok.llm.patterns.multirate import MultiRate
from codectok.llm.patterns.pattern import Pattern
from codectok.llm.patterns.sections import CoarseFirst, Sections, audio_lm, music_lm
from codectok.llm.patterns.spec import from_dict, to_dict
from codectok.llm.patterns.stages import Stage, audiolm, join_audiolm, join_valle, valle
from codectok.llm.patterns.stream import StreamInverse
from codectok.llm.patterns.stream_plan import StreamPlan, read_plan

__all__ = [
    "Cell",
    "CoarseFirst",
    "Delay",
    "Fill",
    "Flatten",
    "Grouped",
    "MoshiStreams",
    "MultiRate",
    "PartialFlatten",
    "Pattern",
    "Sections",
    "Stage",
    "StreamInverse",
    "StreamPlan",
    "SuperTokens",
    "audio_lm",
    "audiolm",
    "dia",
    "from_dict",
    "join_audiolm",
    "join_valle",
    "music_lm",
    "musicgen",
    "parallel",
    "read_plan",
    "to_dict",
    "valle",
]
