"""Audio tokens in a language model: vocabulary, patterns, sequences, safe prompts, generation."""

from codectok.llm.sequence.segments import Audio, AudioIds, Marker, Prompter, Text, Time
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.parse import parse
from codectok.llm.vocab.presets import preset
from codectok.llm.vocab.text_tokenizer import add_to

__all__ = ["Audio", "AudioIds", "AudioVocab", "Marker", "Prompter", "Text", "Time", "add_to", "parse", "preset"]
