"""Speech enhancement: the clean clip of a noisy one (DASB, Mousavi et al. 2024: VoiceBank-DEMAND)."""

from __future__ import annotations

from .restoration import Restoration


class Enhancement(Restoration):
    """One target."""

    name = "se"
    label = "speech enhancement"
    targets = 1


SE = Enhancement()
"""The clean clip of a noisy one."""
