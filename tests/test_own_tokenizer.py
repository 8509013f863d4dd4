"""The page "A tokenizer of your own", run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

PAGE = Path(__file__).parents[1] / "docs" / "own-tokenizer.md"


def test_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.S):
        exec(compile(block, str(PAGE), "exec"), names)
    printed = capsys.readouterr().out
    assert printed.count("holds") == 6
    assert "not causal" in printed
    tok = names["Loudness"]()  # type: ignore[operator]
    quiet, loud = (tok.encode(torch.full((1600,), level).numpy(), 16000).codes for level in (0.01, 0.01 * 10**0.75))
    assert (loud - quiet == 10).all()  # 15 dB are 10 steps of 1.5
