"""Looking at tokenizers: clips, their reconstructions and codes, side by side in one HTML page."""

from codectok.inspect.comparison import Clip, Reconstruction, Setting, Summary, choose_settings, compare, summarize
from codectok.inspect.report import render

__all__ = ["Clip", "Reconstruction", "Setting", "Summary", "choose_settings", "compare", "render", "summarize"]
