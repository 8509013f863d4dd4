"""Audio tokens into a text tokenizer: one batched addition, then every id compared with the declared one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codectok.errors import FormatError
from codectok.llm.vocab.audio_vocab import AudioVocab

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def backend(tokenizer: Any) -> Tokenizer:
    """The ``tokenizers.Tokenizer`` of a fast Hugging Face tokenizer, or the tokenizer itself if it is one.

    Raises:
        FormatError: a slow tokenizer: it has none.
    """
    from tokenizers import Tokenizer

    found = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not isinstance(found, Tokenizer):
        raise FormatError(
            f"{type(tokenizer).__name__} is not a fast tokenizer: load it with AutoTokenizer.from_pretrained(..., "
            "use_fast=True), which converts SentencePiece models"
        )
    return found


def next_id(tokenizer: Any) -> int:
    """The id that the next added token will get: behind the model's vocabulary and all added tokens."""
    inner = backend(tokenizer)
    return max([inner.get_vocab_size(with_added_tokens=False) - 1, *inner.get_added_tokens_decoder()]) + 1


def special_ids(tokenizer: Any) -> dict[str, int]:
    """Special tokens that a tokenizer reads as one id, by name: markers that a base model has may be among them."""
    added = backend(tokenizer).get_added_tokens_decoder()
    return {token.content: id for id, token in added.items() if token.special}


def add_to(tokenizer: Any, vocab: AudioVocab) -> int:
    """Add all tokens of a vocabulary, in place; returns how many were new. A second call adds none.

    One call for all of them (each call rebuilds the automaton that finds added tokens: 20,000 calls take hours).
    ``normalized=False``, since normalisers put "▁" before tokens or change their letters; codes are not special, so
    that decoding keeps them, markers and tags are.

    Args:
        tokenizer: a fast Hugging Face tokenizer, or a ``tokenizers.Tokenizer``.
        vocab: what to add.

    Raises:
        FormatError: ids that the tokenizer cannot give, or already gives to something else. Nothing is added then.

    Examples:
        >>> from codectok.llm import AudioVocab, add_to
        >>> from tokenizers import Tokenizer, models
        >>> text = Tokenizer(models.WordLevel({"hello": 0, "?": 1}, unk_token="?"))
        >>> add_to(text, AudioVocab.create([4, 4], base_id=2))
        10
        >>> text.token_to_id("<|audio_1_3|>")
        9
    """
    from tokenizers import AddedToken

    known = backend(tokenizer).get_vocab(with_added_tokens=True)
    new: list[AddedToken] = []
    free = next_id(tokenizer)
    for id, token, special in vocab.entries():
        if token in known:
            if known[token] != id:
                raise FormatError(
                    f"{token} already has id {known[token]}, the vocabulary gives it {id}: "
                    "use the tokenizer as it was before audio tokens, or the vocabulary that was saved with it"
                )
            continue
        if id != free + len(new):
            raise FormatError(
                f"{token} is to have id {id}, but this tokenizer's next is {free + len(new)}: "
                f"make the vocabulary with base_id {free} in place of {id}"
            )
        new.append(AddedToken(token, normalized=False, special=special))
    if new:
        tokenizer.add_tokens(new)
    check_tokenizer(tokenizer, vocab)
    return len(new)


def check_tokenizer(tokenizer: Any, vocab: AudioVocab) -> None:
    """Check that a tokenizer gives every token of a vocabulary its declared id.

    Ids without names (Mini-Omni) are checked to lie outside the tokenizer's.

    Raises:
        FormatError: it does not.
    """
    known = backend(tokenizer).get_vocab(with_added_tokens=True)
    if not vocab.templates:
        taken = [token for token, id in known.items() if id < vocab.end_id and vocab.id_mask[id]]
        if taken:
            raise FormatError(f"{taken[0]!r} has an id of vocabulary {vocab.name}: choose a higher base_id")
        return
    for id, token, _ in vocab.entries():
        if known.get(token) != id:
            raise FormatError(
                f"the tokenizer gives {token} id {known.get(token)}, the vocabulary {id}: "
                "they do not belong together (add the tokens with add_to, or load the vocabulary saved beside it)"
            )
