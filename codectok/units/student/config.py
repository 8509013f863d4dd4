"""Shape of the unit codec."""

from __future__ import annotations

from dataclasses import dataclass

from codectok.errors import FormatError
from codectok.settings.kinds import Count, Natural


@dataclass
class UnitCodecConfig:
    """Shape of a :class:`~codectok.units.student.UnitCodec`. Everything that changes the codes stands here.

    Raises:
        FormatError: a size out of range.
    """

    sample_rate: Count = 16000
    """Hz."""
    mel_hop: Count = 160
    """Samples between mel frames."""
    mel_window: Count = 400
    """Samples a mel frame is computed from: those up to the end of its hop."""
    mels: Count = 80
    """Bands of the log-mel spectrum."""
    fold: Count = 2
    """Mel frames side by side in one code frame."""
    dim: Count = 256
    """Width of the blocks."""
    depth: Count = 8
    """ConvNeXt blocks."""
    kernel: Count = 7
    """Code frames that a block's convolution sees."""
    ahead: Natural = 6
    """Code frames after its own that a latent is computed from: what phones need to be told apart."""
    latent_dim: Count = 128
    """Width of the latents: the teacher's principal components."""
    units: Count = 500
    """Codes of the one codebook."""

    def __post_init__(self) -> None:
        sizes = (self.mel_hop, self.mels, self.fold, self.dim, self.depth, self.kernel, self.latent_dim)
        if min(*sizes, self.units) < 1 or self.ahead < 0 or self.mel_window < self.mel_hop:
            raise FormatError("a size of the unit codec is out of range: all from 1 up, mel_window at least mel_hop")

    @property
    def frame_size(self) -> int:
        """Samples a code frame."""
        return self.mel_hop * self.fold
