"""What an object of a module says of itself, read from the source text: importing it may import torch, or fail."""

from __future__ import annotations

import ast
import functools
import re
from importlib.util import find_spec
from pathlib import Path

MARKUP = re.compile(r":\w+:`~?([^`]+)`|``([^`]+)``")
"""Of docstrings: roles and literals, which read better bare."""


def source_help(target: str) -> str:
    """First line of the docstring of "module:attribute", else of the module; "" if none, or if it is not to be read.

    Of a variable, the docstring is the string that follows its assignment.
    """
    module, _, attribute = target.partition(":")
    try:
        tree = _parsed(module)
    except (ImportError, OSError, ValueError, SyntaxError):
        return ""
    text = next((found for node, after in _pairs(tree) if (found := _docstring_of(node, after, attribute))), "")
    line = (text or ast.get_docstring(tree) or "").strip().split("\n", 1)[0]
    return MARKUP.sub(r"\1\2", line)


@functools.cache
def _parsed(module: str) -> ast.Module:
    top, *rest = module.split(".")
    spec = find_spec(top)
    if spec is None or spec.origin is None:
        raise ImportError(module)
    path = Path(spec.origin) if not rest else Path(spec.origin).parent.joinpath(*rest)
    if rest:
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def _pairs(tree: ast.Module) -> list[tuple[ast.stmt, ast.stmt | None]]:
    return list(zip(tree.body, [*tree.body[1:], None], strict=True))


def _docstring_of(node: ast.stmt, after: ast.stmt | None, name: str) -> str | None:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return ast.get_docstring(node) if node.name == name else None
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    names = {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    if name not in names:
        return None
    constant = after.value if isinstance(after, ast.Expr) else None
    return constant.value if isinstance(constant, ast.Constant) and isinstance(constant.value, str) else None
