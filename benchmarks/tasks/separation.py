"""Speech separation: two voices of one mixture (DASB, Mousavi et al. 2024: Libri2Mix).

The loss and the scores take the better of the two assignments of outputs to voices, clip by clip; each voice is one
item of the scores.
"""

from __future__ import annotations

from .restoration import Restoration


class Separation(Restoration):
    """Two targets."""

    name = "ss"
    label = "speech separation"
    targets = 2


SS = Separation()
"""The two voices of a mixture."""
