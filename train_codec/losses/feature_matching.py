"""Feature matching: the generator's output should look like the target from inside the discriminator.

Averaged over the layers of a sub-discriminator and over sub-discriminators (EnCodec). DAC and HiFi-GAN add all layers
up: a weight from there is multiplied by their number here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from codectok.errors import CodectokError


def feature_matching(real: list[list[Tensor]], fake: list[list[Tensor]], relative: bool = False) -> Tensor:
    """Mean absolute difference of feature maps, a float32 scalar.

    real and fake hold for each sub-discriminator its feature maps, the last being the logits, which are left out
    (as EnCodec and DAC do). No gradient goes to the real ones. ``relative`` divides each layer's by the
    mean absolute value of the real map (EnCodec, Défossez et al. 2022, eq. 2), so that no layer dominates by its scale.

    Raises:
        CodectokError: the two do not come from one discriminator and one length of audio.
    """
    terms = []
    for real_maps, fake_maps in zip(real, fake, strict=True):
        for r, f in zip(real_maps[:-1], fake_maps[:-1], strict=True):
            if r.shape != f.shape:
                raise CodectokError(f"feature maps {list(r.shape)} and {list(f.shape)}: compare audio of one shape")
            r = r.detach()
            distance = (r - f).abs().mean(dtype=torch.float32)
            terms.append(distance / r.abs().mean(dtype=torch.float32).clamp_min(1e-6) if relative else distance)
    if not terms:
        raise CodectokError("feature matching needs maps before the logits: this discriminator returns none")
    return torch.stack(terms).mean()
