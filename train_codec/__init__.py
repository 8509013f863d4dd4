"""Training of codecs: data, losses, the loop and its recipes."""
