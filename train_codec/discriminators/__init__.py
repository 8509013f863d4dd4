"""Discriminators of adversarial training, one paper a file, all of one form (`Discriminator`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from codectok import registry
from codectok.errors import CodectokError
from train_codec.discriminators.bands import MultiBandDiscriminator
from train_codec.discriminators.discriminator import CombinedDiscriminator, Discriminator, Features
from train_codec.discriminators.frames import MultiFrameDiscriminator
from train_codec.discriminators.ms_stft import MultiScaleSTFTDiscriminator
from train_codec.discriminators.periods import MultiPeriodDiscriminator

__all__ = [
    "DISCRIMINATORS",
    "CombinedDiscriminator",
    "Discriminator",
    "Features",
    "MultiBandDiscriminator",
    "MultiFrameDiscriminator",
    "MultiPeriodDiscriminator",
    "MultiScaleSTFTDiscriminator",
    "build_discriminators",
]

DISCRIMINATORS: registry.Table[Callable[[], nn.Module]] = registry.Table("discriminators")
"""By the name used in recipes, with their papers' sizes."""


def build_discriminators(names: Sequence[str], sample_rate: int) -> CombinedDiscriminator:
    """The discriminators ``names`` as one.

    Windows are in samples and made for 16 to 48 kHz.

    Raises:
        CodectokError: no name, an unknown or a repeated one, or a sample rate (Hz) that the windows do not suit.
    """
    unknown = [n for n in names if n not in DISCRIMINATORS]
    if not names or unknown or len(set(names)) < len(names):
        raise CodectokError(f"discriminators {list(names)}: choose some of {', '.join(DISCRIMINATORS)}, each once")
    if not 8000 <= sample_rate <= 48000:
        raise CodectokError(f"discriminators at {sample_rate} Hz: their windows suit 8000 to 48000 Hz")
    return CombinedDiscriminator([DISCRIMINATORS[n]() for n in names])
