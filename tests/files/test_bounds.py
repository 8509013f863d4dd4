"""What is built from a stranger's config is no larger than its weights, buffers included."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from codectok.errors import FormatError
from codectok.files.bounds import MAX_BUFFER, bounded


def build(length: int) -> torch.nn.Module:
    module = torch.nn.Linear(2, 2)
    module.register_buffer("window", torch.ones(length, dtype=torch.int8))
    return module


def test_a_buffer_larger_than_any_model_needs_is_refused_and_others_are_not(tmp_path: Path) -> None:
    with bounded(6, 2, tmp_path):
        assert build(MAX_BUFFER).get_buffer("window").numel() == MAX_BUFFER
    with pytest.raises(FormatError, match=f"asks for a tensor of {MAX_BUFFER + 1} numbers"), bounded(6, 2, tmp_path):
        build(MAX_BUFFER + 1)
    build(MAX_BUFFER + 1)  # the bound ends with the building


def test_large_weights_may_have_large_buffers(tmp_path: Path) -> None:
    with bounded(MAX_BUFFER + 1, 2, tmp_path):
        build(MAX_BUFFER + 1)
