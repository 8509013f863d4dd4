"""What a data set is by name: an entry of the kind ``datasets``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..contract import Dataset


@dataclass(frozen=True)
class DatasetEntry:
    """A data set that can be opened.

    Attributes:
        name: as suites write it.
        task: it is made for.
        read: called with the name and the folder (None where none is needed); gives the lists, audio is read later.
        folder: what the folder must hold; "" where the data ship with the package.
    """

    name: str
    task: str
    read: Callable[[str, Any], Dataset]
    folder: str = ""
