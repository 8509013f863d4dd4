"""The harmonic codec: everything at the frame rate, and a voice source that the decoder shapes."""

from codectok.codec.harmonic.codec import HarmonicCodec
from codectok.codec.harmonic.config import HarmonicCodecConfig

__all__ = ["HarmonicCodec", "HarmonicCodecConfig"]
