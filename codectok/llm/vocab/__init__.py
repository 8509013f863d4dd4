"""The audio vocabulary: (codebook, code) <-> token id, markers, names, published presets."""

from codectok.llm.vocab.audio_vocab import AudioVocab

__all__ = ["AudioVocab"]
