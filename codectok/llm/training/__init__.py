"""Training a language model with audio tokens: in stages, each of which says what may move."""

from codectok.llm.training.new_rows import attach_new_rows, detach_new_rows
from codectok.llm.training.retention import text_perplexity
from codectok.llm.training.settings import TrainSettings, TrainStage, read_settings

__all__ = ["TrainSettings", "TrainStage", "attach_new_rows", "detach_new_rows", "read_settings", "text_perplexity"]
