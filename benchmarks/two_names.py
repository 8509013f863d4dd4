"""In a clone this package can be imported by its folder's name and by the name it is installed by: as one module.

Another package's task imports ``codectok_benchmarks``, while ``python -m benchmarks.X`` and the tests import
``benchmarks``. Imported twice, their classes would be strangers to each other.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

NAMES = ("benchmarks", "codectok_benchmarks")


class SameModules(MetaPathFinder, Loader):
    """Imports ``other.x`` as ``own.x``, the very same module.

    Args:
        own: name of the package that is there.
        other: name that it is to have too.
    """

    def __init__(self, own: str, other: str) -> None:
        self.own, self.other = own, other
        self.specs: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Of names that begin with the other name."""
        mine = fullname == self.other or fullname.startswith(f"{self.other}.")
        return spec_from_loader(fullname, self) if mine else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module by its own name."""
        module = importlib.import_module(self.own + spec.name.removeprefix(self.other))
        self.specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It ran already; the import system has just put another spec in it, which is no longer its own name's."""
        assert module.__spec__ is not None
        module.__spec__ = self.specs.pop(module.__spec__.name)


def share(own: str) -> None:
    """Let the package that is imported by one of ``NAMES`` be found by the other too."""
    other = next(name for name in NAMES if name != own)
    sys.meta_path.insert(0, SameModules(own, other))
