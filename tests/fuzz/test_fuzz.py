"""Each fuzz target runs for some mutants of another seed; docs/reliability.md has the long runs."""

from __future__ import annotations

import pytest

from tests.fuzz.runner import run
from tests.fuzz.targets import TARGETS

MUTANTS = 60


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_every_mutant_is_read_or_refused(name: str) -> None:
    tally = run(name, seed=7, first=0, last=MUTANTS, minutes=5)
    assert tally.next.value == tally.read.value + tally.refused.value == MUTANTS
    assert tally.refused.value > MUTANTS // 20
