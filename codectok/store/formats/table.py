"""The formats by name: classes after :class:`~codectok.store.info.StoreFormat`, of the kind ``store_formats``."""

from __future__ import annotations

from codectok import registry
from codectok.errors import CodectokError
from codectok.store.info import StoreFormat

FORMATS: registry.Table[type[StoreFormat]] = registry.Table("store_formats")


def get_format(name: str) -> StoreFormat:
    """The format of that name.

    Raises:
        UnknownNameError: there is none.
    """
    return FORMATS[name]()


def extras_of_all() -> set[str]:
    """Names of the files that any format writes once a store; of one that cannot be imported here, none are known."""
    found: set[str] = set()
    for name in FORMATS:
        try:
            found.update(get_format(name).extras)
        except CodectokError:
            continue
    return found
