"""Neural codecs: encoders, quantizers and decoders with explicit streaming state."""
