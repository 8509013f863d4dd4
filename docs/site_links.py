"""Links of the pages, for the site: what lies outside ``docs/`` (model cards, results) becomes a page of its own.

In the repository a page links to a file by its relative path, which a reader of the plain files can follow. The site
holds such files under ``repository/`` with the same path, so links are only moved, never written twice.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)([^)\s#]+)")
OUTSIDE = "repository/"


def in_repository(page: str) -> str:
    """Path in the repository of a page of the site."""
    return page.removeprefix(OUTSIDE) if page.startswith(OUTSIDE) else f"docs/{page}"


def in_site(path: str) -> str:
    """Path in the site of a file of the repository."""
    return path.removeprefix("docs/") if path.startswith("docs/") else OUTSIDE + path


def targets(page: str, text: str) -> list[str]:
    """Files outside ``docs/`` that a page links to, as paths in the repository."""
    folder = posixpath.dirname(in_repository(page))
    found = [posixpath.normpath(posixpath.join(folder, link)) for link in LINK.findall(text)]
    return [p for p in found if not p.startswith("docs/") and (ROOT / p).is_file()]


def on_files(files: Files, config: Any) -> Files:
    """Add what the pages link to outside ``docs/``, and what that links to."""
    waiting = [(f.src_uri, Path(f.abs_src_path).read_text()) for f in files.documentation_pages() if f.abs_src_path]
    while waiting:
        page, text = waiting.pop()
        for path in targets(page, text):
            if files.get_file_from_path(in_site(path)) is None:
                files.append(File.generated(config, in_site(path), abs_src_path=str(ROOT / path)))
                if path.endswith(".md"):
                    waiting.append((in_site(path), (ROOT / path).read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Move the links of one page."""
    here = page.file.src_uri
    folder = posixpath.dirname(in_repository(here))

    def moved(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, match[1]))
        if here.startswith("reference/") or not (ROOT / path).is_file():
            return match[1]
        return posixpath.relpath(in_site(path), posixpath.dirname(here) or ".")

    return LINK.sub(moved, markdown)
