"""The harness: what tokenizers cost, how fast they are and what survives them."""

from codectok.registry import source_tree

from .two_names import share

if source_tree() is not None:
    share(__name__)
