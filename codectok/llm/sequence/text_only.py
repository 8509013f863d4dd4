"""Encoding text that cannot become audio: a copy of the tokenizer that never heard of the audio tokens.

A tokenizer finds its added tokens in any text, so a user who types <|audio_0_17|> forges a voice, and one who types
<|audio_end|> leaves the prompt. Switches such as ``split_special_tokens`` protect special tokens only, and codes are
not special. Here the forbidden tokens are taken out of a copy: out of the added tokens, and, where a model's own
vocabulary has them (SentencePiece models extended in place), out of its pieces. No spelling can reach what is not
there; every id is checked all the same.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from codectok.errors import FormatError
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.text_tokenizer import backend, check_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_MARK = re.compile(r"<(?!0x[0-9A-F]{2}>)[^\s<>]{1,100}>|\[/?[^\s\[\]]{1,100}\]")
"""Added tokens of this form stand for roles, turns and calls, also where nobody flagged them as special (``<think>``,
``<start_of_turn>``, ``[INST]``); without them the same letters are text. Runs of blanks and words are no marks."""
_ENDS = re.compile(r"<\|\S{1,100}\|>|</?s>|<(bos|eos|pad)>|\[(CLS|SEP|PAD|BOS|EOS)\]")
"""What begins, ends or fills a sequence, by its name, in whatever part of the vocabulary it stands."""


class TextEncoder:
    """Text to ids, of which none is of the audio vocabulary, and none a control token unless ``allow_special``.

    Args:
        tokenizer: a fast Hugging Face tokenizer, or a ``tokenizers.Tokenizer``, with the audio tokens added.
        vocab: the audio vocabulary.
        allow_special: the text is the program's own (a chat template): the base model's special tokens count.

    Raises:
        FormatError: a slow tokenizer, or one that the vocabulary does not belong to.
    """

    def __init__(self, tokenizer: Any, vocab: AudioVocab, *, allow_special: bool = False) -> None:
        check_tokenizer(tokenizer, vocab)
        inner = backend(tokenizer)
        added = inner.get_added_tokens_decoder()
        known = inner.get_vocab(with_added_tokens=True).values()
        self._forbidden = np.zeros(max(vocab.end_id, max(known, default=0) + 1), dtype=bool)
        self._forbidden[: vocab.end_id] = vocab.id_mask
        spec = json.loads(inner.to_str())
        unknown = _unknown_id(spec["model"])
        if not allow_special:
            roles = _roles(tokenizer)
            marks = {id for id, token in added.items() if token.special or _MARK.fullmatch(token.content)}
            marks |= {id for piece, id in _pieces(spec["model"]) if _ENDS.fullmatch(piece)}
            self._forbidden[sorted(marks | roles)] = True
            if unknown is not None and (unknown in roles or _ENDS.fullmatch(inner.id_to_token(unknown) or "")):
                unknown = None  # a letter that the model lacks must not end the text: such text is refused
        if unknown is not None and not vocab.owns(np.array(unknown)):
            self._forbidden[unknown] = False  # what any letter the model lacks becomes: it says nothing
        self._spec = _without(spec, self._forbidden)
        self._first = _build(self._spec)
        kept = {token.content: id for id, token in added.items() if not self._forbidden[id]}
        moved = {self._first.token_to_id(token): id for token, id in kept.items()}
        self._moved = {new: old for new, old in moved.items() if new != old}

    @cached_property
    def _later(self) -> Tokenizer:
        """For text behind other tokens: SentencePiece-style tokenizers may mark the start of a sequence only."""
        spec = json.dumps(self._spec)
        later = spec.replace('"prepend_scheme": "first"', '"prepend_scheme": "never"')
        return self._first if later == spec else _build(json.loads(later))

    def __call__(self, text: str, first: bool = True) -> np.ndarray:
        """Ids int64 [N] of one text; ``first`` says that it begins the sequence."""
        return np.array(self.batch([text], first)[0], dtype=np.int64)

    def batch(self, texts: Sequence[str], first: bool = True) -> list[list[int]]:
        """Ids of each text.

        Raises:
            FormatError: text that is not valid Unicode, or (a broken promise) a forbidden id.
        """
        inner = self._first if first else self._later
        try:
            encoded = [e.ids for e in inner.encode_batch_fast(list(texts), add_special_tokens=False)]
        except (TypeError, UnicodeEncodeError) as error:
            raise FormatError(f"text must be valid Unicode strings: {error}") from error
        if self._moved:
            encoded = [[self._moved.get(id, id) for id in ids] for ids in encoded]
        for text, ids in zip(texts, encoded, strict=True):
            if ids and self._forbidden[ids].any():
                raise FormatError(f"the text {text[:40]!r} gave a token id that text may not have: refuse this text")
        return encoded


def _without(spec: dict[str, Any], forbidden: np.ndarray) -> dict[str, Any]:
    """A tokenizer's JSON without the forbidden ids, all other ids in place."""
    spec["added_tokens"] = [token for token in spec["added_tokens"] if not forbidden[token["id"]]]
    spec["post_processor"] = spec["truncation"] = spec["padding"] = None
    model = spec["model"]
    if isinstance(model["vocab"], list):  # Unigram: [piece, score], the id is the position
        for id, piece in enumerate(model["vocab"]):
            if forbidden[id]:
                piece[0] = _unsayable(id)
        return spec
    hidden = {piece: id for piece, id in model["vocab"].items() if forbidden[id]}
    names = {piece: _unsayable(id) for piece, id in hidden.items()}
    model["vocab"] = {names.get(piece, piece): id for piece, id in model["vocab"].items()}
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]  # found in what text gave, and refused
    if hidden and "merges" in model:
        pairs = [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in model["merges"]]
        model["merges"] = [list(pair) for pair in pairs if not {*pair, "".join(pair)} & hidden.keys()]
    return spec


def _roles(tokenizer: Any) -> set[int]:
    """Ids that a Hugging Face tokenizer gives a role in a sequence, whether they are flagged as special or not."""
    found = (getattr(tokenizer, f"{role}_token_id", None) for role in ("bos", "eos", "sep", "cls", "mask"))
    return {id for id in found if isinstance(id, int)}


def _pieces(model: dict[str, Any]) -> Iterable[tuple[str, int]]:
    """The pieces of a model's own vocabulary."""
    vocab = model["vocab"]
    return vocab.items() if isinstance(vocab, dict) else ((piece[0], id) for id, piece in enumerate(vocab))


def _unknown_id(model: dict[str, Any]) -> int | None:
    if isinstance(model["vocab"], list):
        return model.get("unk_id")
    return model["vocab"].get(model.get("unk_token"))


def _unsayable(id: int) -> str:
    return f"\0{secrets.token_hex(16)}{id}"  # no text can be made to contain it: it is drawn anew in each process


def _build(spec: dict[str, Any]) -> Tokenizer:
    from tokenizers import Tokenizer

    return Tokenizer.from_str(json.dumps(spec))
