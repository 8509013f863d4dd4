"""What a fuzz target is."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Protocol


class Target(Protocol):
    """Files of one format in a folder: changed, then used as a command would use them."""

    name: str

    def __init__(self, folder: Path) -> None: ...

    def change(self, rng: random.Random) -> None:
        """Write a mutant in place of the last one."""

    def use(self) -> None:
        """Read all there is.

        Raises:
            CodectokError: the mutant is refused.
        """
