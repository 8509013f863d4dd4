"""Every tokenizer through every clause; every mutant must fail the clause it breaks."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch

from codectok import CodectokError, Tokenizer
from codectok.codec.tokenizer import CodecTokenizer
from codectok.testing import CLAUSES, NotApplicable
from codectok.testing.clauses.determinism import digest
from tests.contract.conftest import CAUGHT, MATRIX
from tests.contract.mutants import MUTANTS, make_mutant
from tests.contract.subjects import SUBJECTS

ROOT = Path(__file__).parents[2]


@cache
def built(name: str) -> Tokenizer:
    return next(s for s in SUBJECTS if s.name == name).make()


@pytest.mark.parametrize("clause", CLAUSES)
@pytest.mark.parametrize("subject", [s.name for s in SUBJECTS])
def test_contract(subject: str, clause: str) -> None:
    row = MATRIX.setdefault(subject, {})
    row[clause] = "FAILS"
    try:
        CLAUSES[clause](built(subject))
    except NotApplicable as reason:
        row[clause] = f"n/a: {reason}"
        return
    row[clause] = "holds"


def test_same_bytes_in_another_process() -> None:
    command = [sys.executable, "-m", "tests.contract.digest", str(torch.get_num_threads())]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(out.stdout.splitlines()[-1]) == {s.name: digest(built(s.name)) for s in SUBJECTS}


@pytest.mark.parametrize("subject", ["harmonic-shaped", "encodec-shaped", "mimi-shaped", "dac-shaped"])
@pytest.mark.parametrize(("mutant", "clause"), MUTANTS, ids=[m.__name__ for m, _ in MUTANTS])
def test_mutant_fails(mutant: type[CodecTokenizer], clause: str, subject: str) -> None:
    key = f"{mutant.__name__} of {subject}"
    CAUGHT[key] = "missed"
    with pytest.raises((AssertionError, CodectokError, pytest.fail.Exception)):
        CLAUSES[clause](make_mutant(mutant, subject)())
    CAUGHT[key] = "caught"
