"""``codectok info --list KIND``: the names of a kind, what each is, which package brings it, what it still needs."""

from __future__ import annotations

import difflib
import functools
import shlex
from importlib.metadata import PackageNotFoundError, requires, version

from codectok import registry
from codectok.cli.console import Row, print_table
from codectok.cli.source_help import source_help
from codectok.errors import CodectokError, UnknownNameError


def list_names(kind: str, as_json: bool = False) -> None:
    """Print the names of a kind; nothing of them is imported.

    Raises:
        UnknownNameError: no such kind.
    """
    there = sorted(registry.kinds())
    if kind not in there:
        near = difflib.get_close_matches(kind, there, 1)
        raise UnknownNameError(
            f"no kind {kind!r}: " + (f"did you mean {near[0]}?" if near else f"give {', '.join(there)}"),
            name=kind,
            kind="kinds",
            known=there,
        )
    rows: list[Row] = []
    for entry in registry.entries(kind):
        needs, missing = needs_of(entry)
        row: Row = {"name": entry.name, "from": entry.package or "this process", "needs": needs}
        more = {"target": entry.target, "missing": missing} if as_json else {}
        rows.append({**row, **more, "what": what_of(entry)})
    print_table("", rows, as_json)


def what_of(entry: registry.Entry) -> str:
    """The first line of its docstring."""
    if entry.package:
        return source_help(entry.target)
    own = entry.added.__doc__ or ""
    return own.strip().split("\n", 1)[0] if own != type(entry.added).__doc__ else f"a {type(entry.added).__name__}"


def needs_of(entry: registry.Entry) -> tuple[str | None, list[str]]:
    """The line that installs what it lacks, and what that is; None and nothing where all is there.

    Those are requirements of the extras that it names. A metric says itself what it needs, which may be in no extra.
    """
    if entry.kind == "metrics":
        from codectok.metrics import get_metric

        try:
            line = get_metric(entry.name).install
        except CodectokError as error:
            return str(error), []
        words = [w for w in shlex.split(line) if w not in ("pip", "install", "&&") and not w.startswith("-")]
    else:
        words = [f"{entry.package}[{','.join(entry.extras)}]"] if entry.extras else []
        line = f"pip install '{words[0]}'" if words else ""
    missing = [name for word in words for name in _missing(word)]
    return (f"{line} (lacks {', '.join(missing)})", missing) if missing else (None, [])


@functools.cache
def _missing(wanted: str) -> tuple[str, ...]:
    """Of a requirement, and of what its extras ask for, the packages that are not installed."""
    from packaging.requirements import Requirement

    top = Requirement(wanted)
    if not top.extras or not _installed(top.name, top.specifier):
        return () if _installed(top.name, top.specifier) else (top.name,)
    missing: list[str] = []
    for extra in sorted(top.extras):
        for text in _requirements(top.name, extra):
            marker = Requirement(text).marker
            if marker is None or marker.evaluate({"extra": extra}):
                missing += _missing(text.partition(";")[0])
    return tuple(dict.fromkeys(missing))


def _requirements(package: str, extra: str) -> list[str]:
    tree = registry.source_tree()
    if package == registry.OWN and tree is not None:
        return list(tree["project"]["optional-dependencies"].get(extra, []))
    return [r for r in requires(package) or [] if "extra" in r.partition(";")[2]]


def _installed(name: str, wanted: object) -> bool:
    if name == registry.OWN:
        return True
    try:
        return version(name) in wanted  # type: ignore[operator]
    except PackageNotFoundError:
        return False
