"""Clause 6: the same bytes every time."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from codectok.testing.clauses.same import clip
from codectok.tokenizer import Tokenizer


def digest(tok: Tokenizer) -> str:
    """Hash of the codes and the decoded audio of one clip: to be compared between processes."""
    tokens = tok.encode(clip(tok, 1.1), tok.sample_rate)
    h = hashlib.sha256(tokens.codes.numpy().tobytes())
    if tok.can_decode:
        h.update(tok.decode(tokens).tobytes())
    return h.hexdigest()


def deterministic(tok: Tokenizer) -> None:
    """The same input gives the same bytes, whatever the global random states are."""
    first = digest(tok)
    torch.manual_seed(1234)
    np.random.seed(1234)  # noqa: NPY002 - the global state is what must not matter
    assert digest(tok) == first, "two runs gave different bytes"
