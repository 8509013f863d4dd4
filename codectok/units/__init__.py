"""Units from speech models: encoders at chosen layers, on an exact frame grid."""

from codectok.units.encoders.loading import load_encoder
from codectok.units.encoders.speech_encoder import SpeechEncoder

__all__ = ["SpeechEncoder", "load_encoder"]
