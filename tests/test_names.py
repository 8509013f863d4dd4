"""Each name means one thing in the whole house, and files are named by what is in them."""

from __future__ import annotations

import ast
from collections import defaultdict

from tests.import_graph import modules

EMPTY = {"base", "common", "core", "helpers", "misc", "nouns", "stuff", "tools", "util", "utils"}
"""File names that say nothing of what is in the file."""


def test_no_two_classes_share_a_name() -> None:
    places = defaultdict(list)
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module)
    assert not {name: found for name, found in places.items() if len(found) > 1}


def test_file_names_say_what_is_in_the_file() -> None:
    assert not [module for module in modules() if module.rpartition(".")[2] in EMPTY]
