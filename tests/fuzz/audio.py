"""Audio files: headers that lie, bytes that are missing, pieces put in."""

from __future__ import annotations

import random
from pathlib import Path

from codectok.audio import AudioReader
from tests.audio.making import encoded, noise
from tests.files.mutants import changed_bytes

SAMPLES = 12_000
MOST = 50_000
"""Samples that may come of those, whatever is written in the header; and"""
LEAST = 48
"""of each byte: damaged files are also MPEG at 8 kbit/s, with 1,152 samples to 24 bytes."""


class Audio:
    """Files of one container, of each codec that it has."""

    name = "audio"
    kinds: tuple[tuple[str, str | None], ...] = ()

    def __init__(self, folder: Path) -> None:
        self.path = folder / "a"
        self.whole = [encoded(folder, noise(SAMPLES), format, subtype) for format, subtype in self.kinds]
        self.path.write_bytes(self.whole[0])

    def change(self, rng: random.Random) -> None:
        """A mutant of one of the files."""
        self.path.write_bytes(changed_bytes(rng.choice(self.whole), rng))

    def use(self) -> None:
        """All samples; never more than the file can hold."""
        with AudioReader(self.path) as reader:
            found = sum(map(len, reader.blocks()))
        assert found < MOST + LEAST * self.path.stat().st_size, f"{found} samples"


class Wav(Audio):
    """RIFF and what is made after it."""

    name = "wav"
    kinds = (("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "ULAW"), ("RF64", "PCM_16"), ("W64", "PCM_16"))


class Flac(Audio):
    """FLAC."""

    name = "flac"
    kinds = (("FLAC", None), ("FLAC", "PCM_24"))


class Ogg(Audio):
    """Vorbis and Opus in Ogg."""

    name = "ogg"
    kinds = (("OGG", "VORBIS"), ("OGG", "OPUS"))


class Mp3(Audio):
    """MPEG audio, layer III."""

    name = "mp3"
    kinds = (("MP3", None),)
