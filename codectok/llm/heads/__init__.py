"""Heads: how a language model says several streams, by rows of its own tables and at most one small module."""
