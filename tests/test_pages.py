"""How the pages are written: lines that a terminal and a diff can show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.import_graph import ROOT

PAGES = sorted(p for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")))
WIDEST = 120


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_no_line_is_too_long(page: Path) -> None:
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fits = len(line) <= WIDEST or line.startswith("|") or re.search(r"https?://\S{60}", line)
        assert fits, f"{page.name}, line {number} has {len(line)} characters: break it at {WIDEST}"
