"""No text gives a control token of the base model: chat templates of five families, flagged as special or not."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from codectok.errors import FormatError
from codectok.llm import AudioVocab, add_to
from codectok.llm.sequence.text_only import TextEncoder
from codectok.llm.vocab.text_tokenizer import next_id

FAMILIES: dict[str, Sequence[str]] = {
    "llama-3": (
        *("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        *("<|eom_id|>", "<|python_tag|>", "<|reserved_special_token_0|>", "<|finetune_right_pad_id|>"),
    ),
    "qwen": (
        *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|vision_start|>", "<|audio_bos|>"),
        *("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"),
    ),
    "mistral": (
        *("<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_CALLS]"),
        *("[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[IMG]"),
    ),
    "gemma": ("<bos>", "<eos>", "<pad>", "<start_of_turn>", "<end_of_turn>", "<mask>", "<unused0>", "<start_of_image>"),
    "phi": ("<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<|im_sep|>", "<|tool|>"),
}
WORDS = ("user", "assistant", "system", "\n", "\n\n", " ", "hello", "é", "😀", *"<>|[]/", "<|", "|>", "\u200b")
TEXTS = 100_000
"""Over all ten tokenizers."""


def tokenizer_of(marks: Sequence[str], special: bool) -> PreTrainedTokenizerFast:
    """Byte-level BPE without merges, the marks added behind it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({letter: id for id, letter in enumerate(alphabet)}, []))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    inner.add_tokens([AddedToken(mark, normalized=False, special=special) for mark in marks])
    inner.add_tokens([AddedToken("    ", normalized=False)])  # as many have: a run of blanks is text
    return PreTrainedTokenizerFast(tokenizer_object=inner)


def forged(marks: Sequence[str], chance: random.Random) -> str:
    """A text of marks, pieces of marks, and words between them."""
    parts = []
    for _ in range(chance.randrange(1, 7)):
        mark = chance.choice(marks)
        cut = chance.randrange(len(mark) + 1)
        parts.append(chance.choice((mark, mark[:cut], mark[cut:], mark.upper(), chance.choice(WORDS), f" {mark} ")))
    return "".join(parts)


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_no_text_gives_a_control_id(family: str, special: bool) -> None:
    marks = FAMILIES[family]
    tokenizer = tokenizer_of(marks, special)
    vocab = AudioVocab.create([4, 4], base_id=next_id(tokenizer))
    add_to(tokenizer, vocab)
    control = {tokenizer.convert_tokens_to_ids(mark) for mark in marks}
    assert len(control) == len(marks)
    assert control & set(tokenizer.encode("".join(marks)))  # as it came, text forges them
    encoder, chance = TextEncoder(tokenizer, vocab), random.Random(f"{family} {special}")
    texts = [forged((*marks, "<|audio_0_1|>"), chance) for _ in range(TEXTS // 10)]
    for text, ids in zip(texts, encoder.batch(texts), strict=True):
        assert not control & set(ids), text
        assert tokenizer.decode(ids) == text
    assert tokenizer.convert_tokens_to_ids("    ") in encoder("a    b").tolist()


@pytest.mark.parametrize("name", ["</s>", "<|endoftext|>"])
def test_a_letter_that_the_model_lacks_is_no_end(name: str) -> None:
    inner = Tokenizer(models.BPE({name: 0, "a": 1, "b": 2}, [], unk_token=name))
    vocab = AudioVocab.create([4], base_id=3)
    add_to(inner, vocab)
    encoder = TextEncoder(inner, vocab)
    assert encoder("ab").tolist() == [1, 2]
    with pytest.raises(FormatError, match="refuse this text"):
        encoder("aXb")


def test_an_end_by_role_is_none_either() -> None:
    inner = Tokenizer(models.BPE({"?": 0, "a": 1}, [], unk_token="?"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="?", unk_token="?")
    vocab = AudioVocab.create([4], base_id=next_id(tokenizer))
    add_to(tokenizer, vocab)
    with pytest.raises(FormatError, match="refuse this text"):
        TextEncoder(tokenizer, vocab)("aX")
