"""One file a format of stores; ``table`` has them by name."""
