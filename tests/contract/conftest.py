"""Prints the matrix of tokenizers and clauses at the end of a run."""

from __future__ import annotations

import pytest

MATRIX: dict[str, dict[str, str]] = {}
CAUGHT: dict[str, str] = {}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    from codectok.testing import CLAUSES

    if not MATRIX:
        return
    write = terminalreporter.write_line
    terminalreporter.section("contract")
    width = max(map(len, MATRIX)) + 2
    write(" " * width + "".join(f"{c:>13}" for c in CLAUSES))
    notes = []
    for name, row in MATRIX.items():
        cells = []
        for clause in CLAUSES:
            text = row.get(clause, "not run")
            if text.startswith("n/a: "):
                notes.append(f"{name}, {clause}: not applicable, {text[5:]}")
                text = "n/a"
            cells.append(f"{text:>13}")
        write(name.ljust(width) + "".join(cells))
    for note in notes:
        write(note)
    if CAUGHT:
        write(f"mutants caught: {sum(v == 'caught' for v in CAUGHT.values())} of {len(CAUGHT)}")
