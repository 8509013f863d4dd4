"""Packages that only some abilities need, asked for before any work is done."""

from __future__ import annotations

from importlib.util import find_spec

from codectok.errors import MissingPackageError


def need(beginning: str, extra: str, *packages: str, otherwise: str = "") -> None:
    """Make sure that packages can be imported, without importing them.

    Args:
        beginning: of the message, with its verb: ``"token stores need"``.
        extra: of codectok, which brings them.
        packages: what is imported, without a dot: of a submodule, the package around it would be imported.
        otherwise: what one can do without them: ``"leave --vad out"``.

    Raises:
        MissingPackageError: one that is not installed.
    """
    missing = [name for name in packages if not _is_there(name)]
    if missing:
        remedy = f"pip install 'codectok[{extra}]'" + (f", or {otherwise}" if otherwise else "")
        raise MissingPackageError(f"{beginning} {' and '.join(missing)}: {remedy}", package=missing[0], extra=extra)


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # a module that was made by hand
        return False
