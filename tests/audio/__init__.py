"""Audio files as they are found: long, joined, damaged, or with headers that lie."""
