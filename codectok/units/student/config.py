"""Shape of the unit codec."""

from __future__ import annotations

from dataclasses import dataclass

from codectok.errors import FormatError


@dataclass
class UnitCodecConfig:
    """Shape of a :class:`~codectok.units.student.UnitCodec`. Everything that changes the codes stands here.

    Raises:
        FormatError: a size out of range.
    """

    sample_rate: int = 16000
    """Hz."""
    mel_hop: int = 160
    """Samples between mel frames."""
    mel_window: int = 400
    """Samples a mel frame is computed from: those up to the end of its hop."""
    mels: int = 80
    """Bands of the log-mel spectrum."""
    fold: int = 2
    """Mel frames side by side in one code frame."""
    dim: int = 256
    """Width of the blocks."""
    depth: int = 8
    """ConvNeXt blocks."""
    kernel: int = 7
    """Code frames that a block's convolution sees."""
    ahead: int = 6
    """Code frames after its own that a latent is computed from: what phones need to be told apart."""
    latent_dim: int = 128
    """Width of the latents: the teacher's principal components."""
    units: int = 500
    """Codes of the one codebook."""

    def __post_init__(self) -> None:
        sizes = (self.mel_hop, self.mels, self.fold, self.dim, self.depth, self.kernel, self.latent_dim)
        if min(*sizes, self.units) < 1 or self.ahead < 0 or self.mel_window < self.mel_hop:
            raise FormatError("a size of the unit codec is out of range: all from 1 up, mel_window at least mel_hop")

    @property
    def frame_size(self) -> int:
        """Samples a code frame."""
        return self.mel_hop * self.fold
