"""Tokens of one utterance, and the ``.ctk`` file that holds them."""

from codectok.tokens.ctk_reader import CtkReader
from codectok.tokens.ctk_writer import CtkWriter
from codectok.tokens.tokens import Tokens

__all__ = ["CtkReader", "CtkWriter", "Tokens"]
