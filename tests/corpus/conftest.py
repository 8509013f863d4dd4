"""What several tests of corpora need."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from tests.corpus.energy import wave


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """Ten files of unequal lengths, rates and kinds; a0 is the longest."""
    folder = tmp_path / "audio"
    (folder / "sub").mkdir(parents=True)
    for i, seconds in enumerate([3.0, 0.4, 0.0, 1.1, 0.02, 2.0, 0.7, 0.7, 1.6, 0.3]):
        rate = (8000, 16000, 44100)[i % 3]
        name = ("a%d.wav", "sub/ä b%d.flac")[i % 2] % i
        soundfile.write(folder / name, wave(seconds, rate, i), rate)
    return folder
