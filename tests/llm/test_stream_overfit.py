"""Each plan learns utterances by heart, by command, and says each of them exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.llm.stream_work import Speaker, extend, pack, store, text_of, train

for _package in ("transformers", "datasets", "accelerate", "pyarrow"):
    pytest.importorskip(_package)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def regenerated(root: Path, pattern: str, count: int, steps: int, *more: object, family: str = "llama") -> None:
    kept = store(root / "store", count)
    extend(root, family)
    pack(root, pattern, *more)
    speaker = Speaker(train(root, steps))
    for i, (_, tokens) in enumerate(kept):
        codes, said = speaker.say(text_of(i), max_new_tokens=100)
        assert codes.tolist() == tokens.codes.tolist()
        assert said == (text_of(i) if more else "")


@pytest.mark.parametrize("pattern", ["delay", "depth", "valle", "grouped"])
def test_three_utterances_are_said_exactly(tmp_path: Path, pattern: str) -> None:
    regenerated(tmp_path, pattern, 3, 60)


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["delay", "depth", "valle", "grouped"])
def test_ten_utterances_are_said_exactly(tmp_path: Path, pattern: str) -> None:
    regenerated(tmp_path, pattern, 10, 250)
