"""Damaged headers of every container: read, or one line; never another error, and never more than the file holds."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest

from codectok.audio import AudioReader
from codectok.errors import AudioError
from tests.audio.making import encoded, noise

KINDS = [
    ("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None),
    ("W64", "PCM_16"), ("RF64", "PCM_16"), ("AIFF", "PCM_16"), ("AU", "PCM_16"), ("CAF", "PCM_16"), ("NIST", "PCM_16"),
]  # fmt: skip
VALUES = (0, 1, 255, 10**7, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
MUTANTS = 40
MOST = 50_000
"""Samples that may come of 12,000, whatever is written in the header."""


def mutant(data: bytes, rng: random.Random) -> bytes:
    """With a byte or number changed, or bytes taken out or put in; mostly in the header."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(min(len(out), rng.choice((64, 256, len(out)))))
        kind = rng.randrange(4)
        if kind == 0:
            out[at] = rng.randrange(256)
        elif kind == 1:
            width = rng.choice((1, 2, 4, 8))
            order = rng.choice(("little", "big"))
            out[at : at + width] = (rng.choice(VALUES) % 256**width).to_bytes(width, order)
        elif kind == 2:
            del out[at : at + rng.randrange(1, 2000)]
        else:
            out[at:at] = rng.randbytes(rng.randrange(1, 2000))
    return bytes(out) or b"x"


@pytest.mark.parametrize(("format", "subtype"), KINDS)
def test_mutants(tmp_path: Path, capfd: pytest.CaptureFixture[str], format: str, subtype: str | None) -> None:
    data, rng = encoded(tmp_path, noise(12_000), format, subtype), random.Random(f"{format} {subtype}")
    messages = []
    for number in range(MUTANTS):
        changed = mutant(data, rng)
        (tmp_path / "a").write_bytes(changed)
        try:
            with AudioReader(tmp_path / "a" if number % 2 else io.BytesIO(changed), "member") as reader:
                assert sum(map(len, reader.blocks())) < MOST
        except AudioError as error:
            messages.append(str(error))
    assert messages, "no mutant was refused"
    assert all("\n" not in message for message in messages)
    assert "Traceback" not in capfd.readouterr().err
