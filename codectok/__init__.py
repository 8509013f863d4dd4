"""codectok: every way of turning speech into integers, as the same kind of object."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from codectok.errors import (
    AudioError,
    CodectokError,
    CodeRangeError,
    FingerprintError,
    FormatError,
    UnknownTokenizerError,
)

if TYPE_CHECKING:
    from codectok.audio import read_audio, write_audio
    from codectok.tokenizer import Tokenizer, load
    from codectok.tokens import Tokens

__version__ = "0.1.0"
__all__ = [
    "AudioError",
    "CodeRangeError",
    "CodectokError",
    "FingerprintError",
    "FormatError",
    "Tokenizer",
    "Tokens",
    "UnknownTokenizerError",
    "load",
    "read_audio",
    "write_audio",
]

# Imported on first use, so that `import codectok` and `codectok --help` do not wait for torch.
_LAZY = {
    "Tokens": "codectok.tokens",
    "Tokenizer": "codectok.tokenizer",
    "load": "codectok.tokenizer",
    "read_audio": "codectok.audio",
    "write_audio": "codectok.audio",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'codectok' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
