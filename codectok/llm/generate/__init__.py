"""Generation: which ids may come next, from ids to text and sound, engines."""

from codectok.llm.generate.generation import generate

__all__ = ["generate"]
