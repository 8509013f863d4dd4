"""Sequences of ids: segments, tasks, interleaving, loss labels; and back from ids to codes."""
