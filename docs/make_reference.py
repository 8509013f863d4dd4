"""Pages of the reference, made while the site is built: one a public package, with every name of its ``__all__``.

A public name is one that a package's ``__init__`` lists; nothing is typed here twice, so nothing can be forgotten.
"""

from __future__ import annotations

import importlib

import mkdocs_gen_files

PACKAGES = ("codectok", "codectok.store", "codectok.llm", "codectok.units", "codectok.metrics", "codectok.testing")

for package in PACKAGES:
    module = importlib.import_module(package)
    names = sorted(module.__all__, key=str.lower)
    with mkdocs_gen_files.open(f"reference/{package}.md", "w") as page:
        page.write(f"# {package}\n\n{(module.__doc__ or '').partition('>>>')[0].strip()}\n\n")
        for name in names:
            # Where it is defined, not where it is listed: the static reader does not follow names that are lazy.
            found = getattr(module, name)
            where = getattr(found, "__module__", package)
            page.write(f"::: {where}.{name}\n    options: {{heading: {package}.{name}, toc_label: {name}}}\n\n")
with mkdocs_gen_files.open("reference/index.md", "w") as page:
    page.write("# Reference\n\nWhat a program may lean on, made from the docstrings.\n\n")
    page.writelines(f"- [`{package}`]({package}.md)\n" for package in PACKAGES)
