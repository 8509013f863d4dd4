"""Token stores: a corpus as tokens on disk, in any of several formats."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codectok.store.dataset import TokenDataset, TokenStream, pad_samples
    from codectok.store.info import ItemError, StoreInfo, StoreOptions
    from codectok.store.reader import Store, open_store

__all__ = [
    "ItemError",
    "Store",
    "StoreInfo",
    "StoreOptions",
    "TokenDataset",
    "TokenStream",
    "open_store",
    "pad_samples",
]

# Imported on first use: the commands' --help reads codectok.store.names and must not wait for torch.
_LAZY = {
    "ItemError": "info",
    "Store": "reader",
    "StoreInfo": "info",
    "StoreOptions": "info",
    "TokenDataset": "dataset",
    "TokenStream": "dataset",
    "open_store": "reader",
    "pad_samples": "dataset",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'codectok.store' has no attribute {name!r}")
    return getattr(importlib.import_module(f"codectok.store.{_LAZY[name]}"), name)
