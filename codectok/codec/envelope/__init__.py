"""The envelope codec: the spectral envelope first, then what is left once it is divided out."""

from codectok.codec.envelope.codec import EnvelopeCodec
from codectok.codec.envelope.config import EnvelopeCodecConfig

__all__ = ["EnvelopeCodec", "EnvelopeCodecConfig"]
