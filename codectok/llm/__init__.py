"""Audio tokens in a language model: vocabulary, patterns, sequences, safe prompts, generation."""

from codectok.llm.add import add_to
from codectok.llm.parse import parse
from codectok.llm.presets import preset
from codectok.llm.segments import Audio, AudioIds, Marker, Prompter, Text, Time
from codectok.llm.vocab import AudioVocab

__all__ = ["Audio", "AudioIds", "AudioVocab", "Marker", "Prompter", "Text", "Time", "add_to", "parse", "preset"]
