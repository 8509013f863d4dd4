"""The harness: what tokenizers cost, how fast they are and what survives them."""
