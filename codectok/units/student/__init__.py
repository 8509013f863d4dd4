"""The small semantic tokenizer: a causal network that predicts a large speech model's features, and k-means on them."""

from codectok.units.student.codec import UnitCodec
from codectok.units.student.config import UnitCodecConfig

__all__ = ["UnitCodec", "UnitCodecConfig"]
