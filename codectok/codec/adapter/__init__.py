"""Audio tokenizers of transformers, always in transformers' own classes, behind the Tokenizer interface: ``hf:``."""
