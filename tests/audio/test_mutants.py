"""Damaged headers of every container: read, or one line; never another error, and never more than the file holds."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest

from codectok.audio import AudioReader
from codectok.errors import AudioError
from tests.audio.making import encoded, noise
from tests.files.mutants import changed_bytes

KINDS = [
    ("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None),
    ("W64", "PCM_16"), ("RF64", "PCM_16"), ("AIFF", "PCM_16"), ("AU", "PCM_16"), ("CAF", "PCM_16"), ("NIST", "PCM_16"),
]  # fmt: skip
MUTANTS = 40
MOST = 50_000
"""Samples that may come of 12,000, whatever is written in the header."""


@pytest.mark.parametrize(("format", "subtype"), KINDS)
def test_mutants(tmp_path: Path, capfd: pytest.CaptureFixture[str], format: str, subtype: str | None) -> None:
    data, rng = encoded(tmp_path, noise(12_000), format, subtype), random.Random(f"{format} {subtype}")
    messages = []
    for number in range(MUTANTS):
        changed = changed_bytes(data, rng)
        (tmp_path / "a").write_bytes(changed)
        try:
            with AudioReader(tmp_path / "a" if number % 2 else io.BytesIO(changed), "member") as reader:
                assert sum(map(len, reader.blocks())) < MOST
        except AudioError as error:
            messages.append(str(error))
    assert messages, "no mutant was refused"
    assert all("\n" not in message for message in messages)
    assert "Traceback" not in capfd.readouterr().err
