"""Looking at tokenizers: clips, their reconstructions and codes, side by side in one HTML page."""

from codectok.inspect.comparison import (
    Decoded,
    InspectedClip,
    SettingSummary,
    TokenizerSetting,
    choose_settings,
    compare,
    summarize,
)
from codectok.inspect.report import render

__all__ = [
    "Decoded",
    "InspectedClip",
    "SettingSummary",
    "TokenizerSetting",
    "choose_settings",
    "compare",
    "render",
    "summarize",
]
