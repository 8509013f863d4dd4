"""Hypothesis measures no times here: a test may run beside others, on a slow machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
