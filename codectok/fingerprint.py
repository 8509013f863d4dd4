"""Fingerprints: a hash of what decides the codes, so that tokens and tokenizers find each other again.

A tokenizer has two. That of its code space covers what decides which integers come out and what they stand for: config
and weights of encoder and quantizer. Tokens, stores and vocabularies are bound to it alone. That of its decoder covers
the rest, so a better decoder of the same codes opens everything that was written before. Version 0.1 had one hash of
both; :func:`same` knows such former names of a code space.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from codectok.shipped import maker_of

_current: dict[str, str] = {}
"""Former fingerprint -> today's, of the tokenizers opened in this process."""


def fingerprint(config: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> str:
    """32 hex digits of a canonical config and the tensors as stored.

    Names, dtypes, shapes and bytes count, in the order of the names; paths, devices and the dtype that weights are
    run in do not.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(config, sort_keys=True, separators=(",", ":")).encode())
    for name, tensor in sorted((tensors or {}).items()):
        stored = tensor.detach().cpu().contiguous()
        digest.update(f"\0{name}\0{stored.dtype}\0{list(stored.shape)}\0".encode())
        digest.update(stored.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def two_fingerprints(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], keys: Collection[str], parts: Collection[str]
) -> tuple[str, str]:
    """Fingerprints of code space and decoder; "" for a decoder that has neither weights nor settings of its own.

    Args:
        config: of the whole.
        tensors: of the whole; a name begins with the part that it belongs to and a dot.
        keys: of the config, that the decoder alone reads.
        parts: of the tensors, that the decoder alone holds.
    """
    decoder = {name for name in tensors if name.partition(".")[0] in parts}
    codes = fingerprint(
        {key: value for key, value in config.items() if key not in keys},
        {name: tensor for name, tensor in tensors.items() if name not in decoder},
    )
    own = {key: config[key] for key in sorted(keys) if key in config}
    return codes, fingerprint(own, {name: tensors[name] for name in decoder}) if decoder or own else ""


def learn(former: str, current: str) -> None:
    """From here on in this process, ``former`` stands for the code space ``current``."""
    _current[former] = current


def same(one: str | None, other: str | None) -> bool:
    """Whether two fingerprints are of one code space: equal, or former names of it as far as they are known."""
    if one is None or other is None:
        return one is other
    one, other = _current.get(one, one), _current.get(other, other)
    return one == other or (maker_of(one) is not None and maker_of(one) == maker_of(other))
