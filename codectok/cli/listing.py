"""``codectok info --list KIND``: the names of a kind, what each is, which package brings it, what it still needs."""

from __future__ import annotations

import difflib
import functools
from importlib.metadata import PackageNotFoundError, requires, version

from codectok import registry
from codectok.cli.common import Row, print_table
from codectok.cli.source_help import source_help
from codectok.errors import UnknownNameError


def list_names(kind: str, as_json: bool = False) -> None:
    """Print the names of a kind; nothing of them is imported.

    Raises:
        UnknownNameError: no such kind.
    """
    there = sorted(registry.kinds())
    if kind not in there:
        near = difflib.get_close_matches(kind, there, 1)
        raise UnknownNameError(
            f"no kind {kind!r}: " + (f"did you mean {near[0]}?" if near else f"give {', '.join(there)}")
        )
    rows: list[Row] = []
    for entry in registry.entries(kind):
        missing = missing_packages(entry)
        install = f"pip install '{entry.package}[{','.join(entry.extras)}]'" if missing else None
        row: Row = {"name": entry.name, "from": entry.package or "this process"}
        if as_json:
            rows.append({**row, "what": what_of(entry), "target": entry.target, "missing": missing, "install": install})
        else:
            needs = f"{install} (lacks {', '.join(missing)})" if missing else None
            rows.append({**row, "needs": needs, "what": what_of(entry)})
    print_table("", rows, as_json)


def what_of(entry: registry.Entry) -> str:
    """The first line of its docstring."""
    if entry.package:
        return source_help(entry.target)
    return (getattr(entry.added, "__doc__", "") or "").strip().split("\n", 1)[0]


def missing_packages(entry: registry.Entry) -> list[str]:
    """Of the extras that it names, the requirements that are not installed."""
    return [name for extra in entry.extras for name in _missing(entry.package, extra)]


@functools.cache
def _missing(package: str, extra: str) -> tuple[str, ...]:
    from packaging.requirements import Requirement

    missing: list[str] = []
    for requirement in map(Requirement, _requirements(package, extra)):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        if requirement.name.lower() == package.lower():
            missing += [name for more in sorted(requirement.extras) for name in _missing(package, more)]
        elif not _installed(requirement.name, requirement.specifier):
            missing.append(requirement.name)
    return tuple(missing)


def _requirements(package: str, extra: str) -> list[str]:
    tree = registry.source_tree()
    if package == registry.OWN and tree is not None:
        return list(tree["project"]["optional-dependencies"].get(extra, []))
    return [r for r in requires(package) or [] if "extra" in r.partition(";")[2]]


def _installed(name: str, wanted: object) -> bool:
    try:
        return version(name) in wanted  # type: ignore[operator]
    except PackageNotFoundError:
        return False
