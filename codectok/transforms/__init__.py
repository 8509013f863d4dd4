"""Exact inverses of streams of integers: byte-pair encoding of units."""
