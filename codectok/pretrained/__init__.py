"""The tokenizers that ship here, and short names of published ones: names of the kind ``tokenizers``."""

from __future__ import annotations

from pathlib import Path

from codectok.opening import open_folder, open_hub
from codectok.shipped import ALIASES
from codectok.tokenizer import Tokenizer

FOLDER = Path(__file__).parent
"""Holds a model folder for each tokenizer that ships."""


def speech(device: str = "cpu") -> Tokenizer:
    """Our causal codec, the default: 16 kHz, 25 frames/s, 24 codebooks of 1024."""
    return _shipped("speech", device)


def units(device: str = "cpu") -> Tokenizer:
    """Our semantic units: a small causal encoder, k-means, BPE and a vocoder."""
    return _shipped("units", device)


def encodec_24k(device: str = "cpu") -> Tokenizer:
    """EnCodec at 24 kHz: the published weights in our own class."""
    return _published("facebook/encodec_24khz", "encodec-24k", device)


def mimi(device: str = "cpu") -> Tokenizer:
    """Mimi at 24 kHz, 12.5 frames/s: the published weights in our own class."""
    return _published("kyutai/mimi", "mimi", device)


def _shipped(folder: str, device: str) -> Tokenizer:
    """It goes by its versioned name, so that what it writes finds it when the alias has moved on."""
    tokenizer: Tokenizer = open_folder(FOLDER / folder, ALIASES[folder], device)
    return tokenizer


def _published(repo: str, name: str, device: str) -> Tokenizer:
    tokenizer: Tokenizer = open_hub(repo, name, device)
    return tokenizer
