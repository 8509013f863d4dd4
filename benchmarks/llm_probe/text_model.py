"""The language model behind the probe: any of transformers', or a small one made here, so that it runs offline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from codectok.errors import FormatError

from ..contract import NotComputed
from .options import SIZES, LLMOptions

END = "</s>"
POSITIONS = 8192


@dataclass(frozen=True)
class TextModel:
    """A causal language model that has not heard anything yet.

    Attributes:
        tokenizer: fast, of transformers, with an end of sequence.
        make: a fresh model, the very same at every call.
        init: of the rows of codes.
        note: what it is, for the row.
    """

    tokenizer: Any
    make: Callable[[], Any]
    init: str
    note: str


def open_text_model(options: LLMOptions, texts: Sequence[str], seed: int) -> TextModel:
    """The model of the options.

    Args:
        options: llm, size, pieces and init are read.
        texts: labels of the training clips, which the text tokens of a model made here are fitted on.
        seed: of its weights; all arms with one seed begin with the same.

    Raises:
        NotComputed: transformers is not installed, or the model is not here.
        FormatError: a text tokenizer without an end of sequence.
    """
    try:
        from codectok.llm.model.folder import open_model, open_text_tokenizer, quiet

        quiet()
    except ImportError as error:
        raise NotComputed(f"the LLM probe needs {error.name}: pip install 'codectok[llm]'") from None
    if not options.llm:
        return _made(options, texts, seed)
    try:
        tokenizer = open_text_tokenizer(options.llm)
        size = _size(open_model(options.llm, torch.float32))
    except FormatError as error:
        raise NotComputed(f"option llm: {error}") from None
    if tokenizer.eos_token_id is None:
        raise FormatError(f"the text tokenizer of {options.llm} has no end of sequence: labels could not end")
    note = f"{Path(options.llm).name}, {size}, weights not drawn anew by the seed"
    return TextModel(tokenizer, lambda: open_model(options.llm, torch.float32), options.init or "mean+noise", note)


def _made(options: LLMOptions, texts: Sequence[str], seed: int) -> TextModel:
    """Byte-level BPE of the labels and a Llama of random weights; it knows no text but what it is trained on."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, options.pieces, min_frequency=2, special_tokens=[END], show_progress=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, eos_token=END)
    width, layers = SIZES[options.size]
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )

    def make() -> Any:
        with torch.random.fork_rng(devices=[]):  # its own draw, whatever else an arm draws
            torch.manual_seed(seed)
            return LlamaForCausalLM(config)

    note = (
        f"made here ({options.size}: {layers} layers of width {width}, {_size(make())}), random weights; "
        f"{len(tokenizer)} byte-level pieces of the training labels"
    )
    return TextModel(tokenizer, make, options.init or "normal", note)


def _size(model: Any) -> str:
    return f"{sum(p.numel() for p in model.parameters()) / 1e6:.3g} M parameters"
