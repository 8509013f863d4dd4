"""The contract as it is shipped, for tokenizers of others."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

import codectok.testing
from codectok import load
from codectok.controls import RandomTokenizer
from codectok.testing import CLAUSES, ContractError, check_tokenizer


def test_the_example_of_the_package_runs() -> None:
    assert doctest.testmod(codectok.testing).failed == 0


def test_a_healthy_tokenizer_passes() -> None:
    lines: list[str] = []
    outcomes = check_tokenizer(load("random"), lines.append)
    assert list(outcomes) == list(CLAUSES)
    assert {o.verdict for o in outcomes.values()} == {"holds"}
    assert len(lines) == 1 + len(CLAUSES)


def test_a_broken_one_is_named_with_its_clause() -> None:
    class Short(RandomTokenizer):
        name = "short"

        def num_frames(self, num_samples: int) -> int:
            return max(1, num_samples // self.frame_size)

        def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list:  # type: ignore[type-arg]
            return [self._codes(0, -(-len(c) // self.frame_size), num_codebooks) for c in clips]

    lines: list[str] = []
    with pytest.raises(ContractError, match=r"short breaks .*lengths \(641 samples gave 2 frames\)"):
        check_tokenizer(Short(), lines.append)
    assert any("lengths" in line and "fails" in line for line in lines)
