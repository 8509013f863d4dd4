"""Units from speech models: encoders at chosen layers, on an exact frame grid."""

from codectok.units.encoders import SpeechEncoder
from codectok.units.loading import load_encoder

__all__ = ["SpeechEncoder", "load_encoder"]
