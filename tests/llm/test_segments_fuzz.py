"""Hostile texts: whatever a user writes, no id of the audio vocabulary and no control token comes out."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from codectok.llm.sequence.segments import Audio, Prompter, Text
from codectok.llm.sequence.text_only import TextEncoder
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.presets import preset

from .text_tokenizers import KINDS, SPECIAL, text_tokenizer, with_audio

CONTROL = SPECIAL[1:]
# Full-width forms, which NFKC turns into the plain ones, and Cyrillic and Greek letters.
LOOK_ALIKE = str.maketrans("<|>_01ao", "\uff1c\uff5c\uff1e\uff3f\uff10\uff11\u0430\u03bf")
ROLES = ["user", "assistant", "system", "<|im_start|>assistant\n", "<|im_end|>\n<|im_start|>system\n", "[INST]"]
BETWEEN = ["", " ", "\n", "\t", "\u200b", "\u00ad", "▁", "\u00a0", "\0", "<", "|>", "\u0301", "Ġ", "##", "\r\n"]


def hostile_texts(tokens: list[str], count: int, seed: int = 0) -> Iterator[str]:
    """Every token once as it is, then spellings of random ones: nested, split, disguised, inside a template."""
    rng = random.Random(seed)
    yield from tokens[:count]
    for _ in range(count - len(tokens)):
        a, b = rng.choice(tokens), rng.choice(tokens)
        at = rng.randrange(len(a) + 1)
        match rng.randrange(9):
            case 0:
                text = a[:at] + b + a[at:]  # <|audio_<|audio_0_1|>0_1|>
            case 1:
                text = a[:at] + rng.choice(BETWEEN) + a[at:]
            case 2:
                text = a.translate(LOOK_ALIKE)
            case 3:
                text = a + rng.choice(BETWEEN) + b
            case 4:
                text = rng.choice(ROLES) + a + rng.choice(ROLES) + b
            case 5:
                text = rng.choice([str.upper, str.title, str.swapcase])(a) + a
            case 6:
                text = "".join(rng.choice(BETWEEN) + part for part in (a[:at], a[at:], b))
            case 7:
                text = a.encode("utf-16-le").decode("latin-1") + "".join(f"<0x{byte:02X}>" for byte in a.encode())
            case _:
                text = "".join(chr(rng.choice([rng.randrange(32, 127), rng.randrange(160, 0x3000)])) for _ in a) + a
        yield rng.choice(["", " ", "fox "]) + text


def forged(kind: str, count: int) -> tuple[int, int, int]:
    """Audio ids and control ids that ``count`` hostile texts gave, and texts that fooled the plain tokenizer."""
    tokenizer, vocab = with_audio(kind)
    texts = list(hostile_texts([entry.token for entry in vocab.entries()] + CONTROL, count))
    assert len(texts) == count
    encode = TextEncoder(tokenizer, vocab)
    control = [tokenizer.convert_tokens_to_ids(token) for token in CONTROL]
    audio = special = 0
    for first in (True, False)[: 1 if encode._later is encode._first else 2]:
        ids = np.concatenate([np.array(x, dtype=np.int64) for x in encode.batch(texts, first)])
        audio += int(vocab.owns(ids).sum())
        special += int(np.isin(ids, control).sum())
    plain = tokenizer.backend_tokenizer.encode_batch_fast(texts[:2000], add_special_tokens=False)
    return audio, special, sum(bool(vocab.owns(np.array(e.ids, dtype=np.int64)).any()) for e in plain)


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_becomes_audio(kind: str) -> None:
    audio, special, fooled = forged(kind, 10_000)
    assert (audio, special) == (0, 0)
    assert fooled > 1000  # the same texts do become audio in a tokenizer that is not told otherwise


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_text_of_a_hundred_thousand_becomes_audio(kind: str) -> None:
    audio, special, _ = forged(kind, 100_000)
    assert (audio, special) == (0, 0)


def test_characters_that_are_codes_stay_text_in_text() -> None:
    """codec-bpe writes codes as Chinese characters, which users write too."""
    from codectok.llm.vocab.text_tokenizer import add_to, next_id

    tokenizer = text_tokenizer("byte-level")
    before = tokenizer.encode("一二三 语音", add_special_tokens=False)
    vocab = preset("codec-bpe", base_id=next_id(tokenizer), num_codebooks=2)
    add_to(tokenizer, vocab)
    assert vocab.owns(np.array(tokenizer.encode("一二三", add_special_tokens=False))).any()
    prompt = Prompter(tokenizer, vocab).encode([Text("一二三 语音"), Audio(np.array([[0], [5]]))])
    assert prompt.ids.tolist() == [*before, vocab.base_id, vocab.base_id + 1024 + 5]


def extended_in_place(model: str) -> Any:
    """A tokenizer whose model itself knows the audio tokens, as a SentencePiece model extended in place does."""
    names = ["[Text]", "[Speech]", *(f"[Hu{i}]" for i in range(6))]
    letters = ["<unk>", *sorted(set("the foxHuTextSpc[]0123456789 ▁"))]
    if model == "unigram":
        pieces = [(piece, -5.0) for piece in letters] + [(name, 0.0) for name in names]
        inner = Tokenizer(models.Unigram(pieces, unk_id=0))
    else:
        vocab = {piece: i for i, piece in enumerate(letters)}
        merges: list[tuple[str, str]] = []
        for part in [*("[Hu"[: n + 1] for n in range(1, 3)), *(f"[Hu{i}" for i in range(6))]:
            vocab.setdefault(part, len(vocab))
            merges.append((part[:-1], part[-1]))
        merges += [(f"[Hu{i}", "]") for i in range(6)]
        vocab |= {name: len(vocab) + i for i, name in enumerate(names)}
        inner = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")


@pytest.mark.parametrize("model", ["unigram", "bpe"])
def test_audio_tokens_within_the_model_itself(model: str) -> None:
    from codectok.llm.vocab.tags import Mark

    tokenizer = extended_in_place(model)
    first = tokenizer.convert_tokens_to_ids("[Text]")
    marks = (Mark("text", "[Text]", first), Mark("begin", "[Speech]", first + 1))
    vocab = AudioVocab("spirit", (6,), first + 2, ("[Hu{c}]",), framed=False, marks=marks)
    assert vocab.owns(np.array(tokenizer.encode("the [Hu3] fox", add_special_tokens=False))).any()
    encode = TextEncoder(tokenizer, vocab)
    for text in hostile_texts([entry.token for entry in vocab.entries()], 500):
        assert not vocab.owns(encode(text)).any(), text
    plain = encode("the fox").tolist()
    assert plain == tokenizer.encode("the fox", add_special_tokens=False)


def test_a_forbidden_id_that_came_out_all_the_same_is_an_error() -> None:
    """The check behind the check: if the copy were not clean, the text would be refused."""
    from codectok.errors import FormatError

    tokenizer, vocab = with_audio("byte-level")
    encode = TextEncoder(tokenizer, vocab)
    encode._first = Tokenizer.from_str(json.dumps(json.loads(tokenizer.backend_tokenizer.to_str())))
    with pytest.raises(FormatError, match="refuse this text"):
        encode("<|audio_0_1|>")
