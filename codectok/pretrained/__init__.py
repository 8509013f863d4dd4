"""The tokenizers that ship here, and short names of published ones: names of the kind ``tokenizers``."""

from __future__ import annotations

from pathlib import Path

from codectok.opening import open_folder, open_hub
from codectok.shipped import ALIASES
from codectok.tokenizer import Tokenizer

FOLDER = Path(__file__).parent
"""Holds a model folder for each tokenizer that ships."""


FOLDERS = {"speech-1": "speech", "speech-2": "speech-2", "units-1": "units"}
"""Versioned name -> its folder."""


def speech(device: str = "cpu") -> Tokenizer:
    """Our causal codec, the default: 16 kHz, 25 frames/s, 24 codebooks of 1024."""
    return _shipped(ALIASES["speech"], device)


def speech_1(device: str = "cpu") -> Tokenizer:
    """The harmonic codec."""
    return _shipped("speech-1", device)


def speech_2(device: str = "cpu") -> Tokenizer:
    """The envelope codec: 16 kHz, 25 frames/s, 24 codebooks of 1024, beam search."""
    return _shipped("speech-2", device)


def units(device: str = "cpu") -> Tokenizer:
    """Our semantic units: a small causal encoder, k-means, BPE and a vocoder."""
    return _shipped(ALIASES["units"], device)


def encodec_24k(device: str = "cpu") -> Tokenizer:
    """EnCodec at 24 kHz: the published weights in our own class."""
    return _published("facebook/encodec_24khz", "encodec-24k", device)


def mimi(device: str = "cpu") -> Tokenizer:
    """Mimi at 24 kHz, 12.5 frames/s: the published weights in our own class."""
    return _published("kyutai/mimi", "mimi", device)


def _shipped(name: str, device: str) -> Tokenizer:
    """It goes by its versioned name, so that what it writes finds it when the alias has moved on."""
    tokenizer: Tokenizer = open_folder(FOLDER / FOLDERS[name], name, device)
    return tokenizer


def _published(repo: str, name: str, device: str) -> Tokenizer:
    tokenizer: Tokenizer = open_hub(repo, name, device)
    return tokenizer
