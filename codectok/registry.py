"""Names to objects: everything that can be added from outside is found here, and imported when it is asked for.

A kind of thing that has names (tokenizers, metrics, store formats, ...) is a group of Python entry points, called
``codectok.KIND``: name -> ``"module:attribute"``. codectok's own names stand in its ``pyproject.toml``, those of other
packages in theirs; a name of codectok's own is never replaced. ``docs/plugins.md`` says what each kind must be.

In a clone the own names are read from the ``pyproject.toml`` beside the package, not from the metadata that the last
``pip install`` wrote: so they are right after ``git pull`` without installing again, and for any of several checkouts.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from pathlib import Path
from typing import Any, TypeVar

from codectok.errors import CodectokError, MissingPackageError, UnknownNameError

T = TypeVar("T")

OWN = "codectok"
PREFIX = "codectok."
_NOUNS = {"corpora": "corpus", "datasets": "data set", "llm_tasks": "task"}
_SHOWN = 16
"""Most names that an error lists; of more, it says how to list them."""


@dataclass(frozen=True)
class Entry:
    """One name and what it stands for, imported by :meth:`load`.

    Attributes:
        kind: the group's last word.
        name: how it is asked for.
        target: ``"module:attribute"``.
        package: the distribution that brings it; "" for what :func:`register` added in this process.
        extras: of that distribution, which it needs: ``"module:attribute [extra]"`` in ``pyproject.toml``.

    Examples:
        >>> from codectok import registry
        >>> registry.entry_of("metrics", "pesq")
        Entry(kind='metrics', name='pesq', target='codectok.metrics.signal:PESQ', package='codectok', extras=())
    """

    kind: str
    name: str
    target: str
    package: str
    extras: tuple[str, ...] = ()
    added: Any = field(default=None, repr=False, compare=False)

    def load(self) -> Any:
        """Import it.

        Raises:
            MissingPackageError: its module cannot be imported.
            CodectokError: it has no such attribute.
        """
        if not self.package:
            return self.added
        module, _, attribute = self.target.partition(":")
        try:
            return functools.reduce(getattr, attribute.split(".") if attribute else [], importlib.import_module(module))
        except (ImportError, AttributeError) as error:
            lacks = error.name if isinstance(error, ImportError) else None
            wanted = f"[{','.join(self.extras)}]" if self.extras else ""
            needs = f"it needs {lacks}" if lacks else str(error)
            what = f"the {noun(self.kind)} {self.name!r} of {self.package} cannot be imported: {needs} "
            what += f"(pip install '{self.package}{wanted}')"
            if isinstance(error, AttributeError):
                raise CodectokError(what) from error
            raise MissingPackageError(what, package=lacks, extra=self.extras[0] if self.extras else None) from error


def names(kind: str) -> list[str]:
    """All names of a kind: codectok's own in the order of its ``pyproject.toml``, then the others by name.

    Examples:
        >>> from codectok import registry
        >>> "parquet" in registry.names("store_formats")
        True
    """
    return list(dict.fromkeys(entry.name for entry in entries(kind)))


def find(kind: str, name: str) -> Any:
    """Import what a name of a kind stands for.

    Raises:
        UnknownNameError: there is none; the message has the nearest.
        CodectokError: two packages give it, or it cannot be imported.

    Examples:
        >>> from codectok import registry
        >>> registry.find("tokenizers", "pcm")
        <class 'codectok.controls.PcmTokenizer'>
    """
    return entry_of(kind, name).load()


def entry_of(kind: str, name: str) -> Entry:
    """What a name stands for, not yet imported. Raises as :func:`find` does.

    Examples:
        >>> from codectok import registry
        >>> registry.entry_of("tokenizers", "pcm").target
        'codectok.controls:PcmTokenizer'
    """
    found = [e for e in _own().get(kind, ()) if e.name == name] or [e for e in entries(kind) if e.name == name]
    if not found:
        raise UnknownNameError(unknown(kind, name), name=name, kind=kind, known=names(kind))
    if len(found) > 1:
        packages = " and ".join(entry.package for entry in found)
        raise CodectokError(f"{packages} both give a {noun(kind)} {name!r}: uninstall one of them")
    return found[0]


def known(kind: str, name: str) -> bool:
    """Whether the kind has that name.

    Examples:
        >>> from codectok import registry
        >>> registry.known("metrics", "pesq"), registry.known("metrics", "beauty")
        (True, False)
    """
    return any(e.name == name for e in _own().get(kind, ())) or any(e.name == name for e in entries(kind))


def entries(kind: str) -> list[Entry]:
    """Everything of a kind, as :func:`names` orders it; what :func:`register` added comes last.

    Examples:
        >>> from codectok import registry
        >>> {entry.package for entry in registry.entries("probes")}
        {'codectok'}
    """
    own = _own().get(kind, [])
    taken = {entry.name for entry in own}
    others = [e for e in _outside().get(kind, ()) if e.name not in taken]
    return [*own, *others, *_added.get(kind, {}).values()]


def kinds() -> list[str]:
    """The kinds that have any name.

    Examples:
        >>> from codectok import registry
        >>> {"tokenizers", "metrics", "store_formats"} <= set(registry.kinds())
        True
    """
    return list(dict.fromkeys([*_own(), *_outside(), *_added]))


def name_of(kind: str, thing: Any) -> str:
    """The name that :func:`find` finds a class or function by, for what is written to files.

    Raises:
        UnknownNameError: it has none.

    Examples:
        >>> from codectok import registry
        >>> from codectok.controls import PcmTokenizer
        >>> registry.name_of("tokenizers", PcmTokenizer)
        'pcm'
    """
    where = f"{thing.__module__}:{thing.__qualname__}"
    top = where.partition(".")[0].partition(":")[0]
    for entry in entries(kind):
        near = entry.target.partition(":")[0].partition(".")[0] == top
        if entry.added is thing or entry.target == where or (near and entry.load() is thing):
            return entry.name
    raise UnknownNameError(
        f"{thing.__qualname__} is no {noun(kind)} with a name: make it an entry point of the group {PREFIX}{kind}",
        name=thing.__qualname__,
        kind=kind,
        known=names(kind),
    )


def register(kind: str, name: str) -> Callable[[T], T]:
    """A decorator that gives a name in this process only, for tests and notebooks; packages use entry points.

    Worker processes do not know the name. Running a notebook's cell again replaces what it registered before.

    Raises:
        CodectokError: a package has that name already.

    Examples:
        >>> from codectok import registry
        >>> @registry.register("encoders", "silence")
        ... def open_silence(options): ...
        >>> registry.known("encoders", "silence")
        True
    """
    if any(entry.name == name for entry in (*_own().get(kind, ()), *_outside().get(kind, ()))):
        raise CodectokError(f"a {noun(kind)} {name!r} exists already: choose another name")

    def add(thing: T) -> T:
        target = f"{getattr(thing, '__module__', '')}:{getattr(thing, '__qualname__', name)}"
        _added.setdefault(kind, {})[name] = Entry(kind, name, target, "", (), thing)
        return thing

    return add


def noun(kind: str) -> str:
    """One thing of a kind, as messages call it: "store format".

    Examples:
        >>> from codectok import registry
        >>> registry.noun("store_formats")
        'store format'
    """
    return _NOUNS.get(kind, kind.removesuffix("s")).replace("_", " ")


def unknown(kind: str, name: str) -> str:
    """What to say of a name that a kind does not have: the nearest, or all where they are few.

    Examples:
        >>> from codectok import registry
        >>> registry.unknown("metrics", "pesk")
        "no metric 'pesk': did you mean pesq?"
    """
    there = names(kind)
    near = difflib.get_close_matches(name, there, 1) or [n for n in there if n.lower() == name.lower()]
    if near:
        hint = f"did you mean {near[0]}?"
    elif len(there) <= _SHOWN:
        hint = f"there are {', '.join(there)}" if there else "there is none: install a package that brings one"
    else:
        hint = f"codectok info --list {kind} shows the {len(there)} there are"
    return f"no {noun(kind)} {name!r}: {hint}"


class Table(Mapping[str, T]):
    """The names of a kind as a mapping: ``name in table``, ``table[name]``, which is :func:`find`.

    Args:
        kind: whose names.

    Examples:
        >>> from codectok import registry
        >>> tokenizers = registry.Table("tokenizers")
        >>> tokenizers["pcm"].name, "nobody" in tokenizers
        ('pcm', False)
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __getitem__(self, name: str) -> T:
        thing: T = find(self.kind, name)
        return thing

    def get(self, name: str, default: Any = None) -> Any:
        """What the name stands for, or ``default`` where there is none."""
        return find(self.kind, name) if known(self.kind, name) else default

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and known(self.kind, name)

    def __iter__(self) -> Iterator[str]:
        return iter(names(self.kind))

    def __len__(self) -> int:
        return len(names(self.kind))


_added: dict[str, dict[str, Entry]] = {}


@functools.cache
def source_tree() -> dict[str, Any] | None:
    """``pyproject.toml`` of the clone that this package is imported from; None where it is installed.

    Examples:
        >>> from codectok import registry
        >>> tree = registry.source_tree()
        >>> "installed" if tree is None else tree["project"]["name"]
        'codectok'
    """
    path = Path(__file__).parents[1] / "pyproject.toml"
    if not path.is_file():
        return None
    import tomllib

    with open(path, "rb") as file:
        table = tomllib.load(file)
    return table if table.get("project", {}).get("name") == OWN else None


@functools.cache
def _own() -> dict[str, list[Entry]]:
    tree = source_tree()
    if tree is not None:
        groups = tree["project"]["entry-points"].items()
        moved = _moved(tree)
        return _by_kind(
            (EntryPoint(name, moved(value), group), OWN) for group, all_of in groups for name, value in all_of.items()
        )
    try:
        return _by_kind((point, OWN) for point in distribution(OWN).entry_points)
    except PackageNotFoundError:
        raise CodectokError(
            "codectok cannot tell what it has: it was copied without its metadata; pip install it"
        ) from None


def _moved(tree: dict[str, Any]) -> Callable[[str], str]:
    """From the names that packages are installed by to those of their folders, where these can be imported here.

    A process must not have a package twice, once by each name: what runs in the clone uses the folder's.
    """
    folders: dict[str, str] = tree.get("tool", {}).get("setuptools", {}).get("package-dir", {})
    here = {}
    for package, folder in folders.items():
        spec = importlib.util.find_spec(folder)
        if spec is not None and spec.origin and Path(spec.origin).is_relative_to(Path(__file__).parents[1]):
            here[package] = folder

    def move(target: str) -> str:
        top, dot, rest = target.partition(".")
        return here.get(top, top) + dot + rest

    return move


@functools.cache
def _outside() -> dict[str, list[Entry]]:
    every = entry_points()
    groups = [group for group in every.groups if group.startswith(PREFIX)]
    points = [(p, p.dist.name) for g in groups for p in every.select(group=g) if p.dist is not None]
    return _by_kind(sorted((x for x in points if x[1] != OWN), key=lambda x: (x[0].name, x[1])))


def _by_kind(points: Iterable[tuple[EntryPoint, str]]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for p, package in points:
        if p.group.startswith(PREFIX):
            kind = p.group.removeprefix(PREFIX)
            target = p.value.partition("[")[0].strip()
            found.setdefault(kind, []).append(Entry(kind, p.name, target, package, tuple(p.extras)))
    return found
