"""Folders of ``model_type``, as the Hugging Face hub has them: our own class where there is one, else transformers'."""

from __future__ import annotations

from pathlib import Path

from codectok.codec.adapter.opening import open_adapted
from codectok.codec.adapter.table import family_class
from codectok.codec.hf import OWN, open_hf_codec
from codectok.files.model_folder import read_config
from codectok.tokenizer import Tokenizer


def open_model_type(folder: Path, name: str, device: str = "cpu") -> Tokenizer:
    """An EnCodec or Mimi in our own class; other audio tokenizers of transformers as ``hf:`` opens them.

    Raises:
        FormatError: no audio tokenizer, an option that our classes do not have, or weights that do not fit.
    """
    kind = read_config(folder).get("model_type")
    if kind in OWN:
        return open_hf_codec(folder, name, device)
    family_class(kind, folder)
    return open_adapted(folder, name, device)
