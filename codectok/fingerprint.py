"""Fingerprints: a hash of what decides the codes, so that tokens and tokenizers find each other again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


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
