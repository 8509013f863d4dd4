"""Language models as folders: opened, given an audio vocabulary, verified."""

from codectok.llm.model.folder import open_model, open_text_tokenizer

__all__ = ["open_model", "open_text_tokenizer"]
