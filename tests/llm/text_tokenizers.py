"""Small text tokenizers of every kind, trained here, and an audio vocabulary added to each."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.tags import whisper_tags
from codectok.llm.vocab.text_tokenizer import add_to, next_id

KINDS = ("byte-level", "unigram", "wordpiece", "llama")
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
# The corpus has seen pieces of audio tokens, as web text has, so the models know how to spell them.
CORPUS = [
    "the quick brown fox jumps over the lazy dog",
    "She said: 12 tokens, 3 codes & 7 frames! (really?)",
    "<|audio_0_1|> <|audio_start|> audio_ _12| |> <| [Hu12] <custom_token_7> assistant user system\n",
    "Größe, naïve café, 语音识别 и речь",
] * 30


def _byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def _unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=250, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def _wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=400, special_tokens=SPECIAL, show_progress=False)
    )
    return tokenizer


def _llama() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=[*SPECIAL, *(f"<0x{i:02X}>" for i in range(256))], show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


@cache
def _trained(kind: str) -> str:
    made: Tokenizer = {"byte-level": _byte_level, "unigram": _unigram, "wordpiece": _wordpiece, "llama": _llama}[kind]()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", made.token_to_id("<s>"))]
    )
    return made.to_str()


def text_tokenizer(kind: str) -> Any:
    """A fresh Hugging Face tokenizer without audio tokens."""
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_trained(kind)),
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
    )


def with_audio(kind: str, sizes: tuple[int, ...] = (64, 32, 32, 16), **options: Any) -> tuple[Any, AudioVocab]:
    """A tokenizer with an audio vocabulary added: codes, markers, Whisper's tags, timestamps up to 2 s."""
    tokenizer = text_tokenizer(kind)
    vocab = AudioVocab.create(sizes, next_id(tokenizer), tags=whisper_tags(("en", "de")), timestamps=101, **options)
    add_to(tokenizer, vocab)
    return tokenizer, vocab
