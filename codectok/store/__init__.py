"""Token stores: a corpus as tokens on disk, in any of several formats."""

from codectok.store.base import ItemError, StoreInfo, StoreOptions
from codectok.store.reader import Store, open_store

__all__ = ["ItemError", "Store", "StoreInfo", "StoreOptions", "open_store"]
