"""Shape of the harmonic codec, and how its latent is laid out."""

from __future__ import annotations

from dataclasses import dataclass, field

from codectok.errors import FormatError
from codectok.settings.kinds import Count, Natural, NotNegative, Positive

# Meaning of the pitch latents: log f0 = log(PITCH_CENTRE) + latent / PITCH_SCALE, kept within PITCH_RANGE. Weights are
# trained with these numbers: others would be another codec_type.
PITCH_CENTRE = 150.0
PITCH_SCALE = 15.0
PITCH_RANGE = (55.0, 550.0)


@dataclass
class HarmonicCodecConfig:
    """Shape of a :class:`~codectok.codec.harmonic.HarmonicCodec`. Everything that changes the codes stands here.

    Raises:
        FormatError: the parts, their widths and the codebooks do not fit each other.
    """

    sample_rate: Count = 16000
    """Hz."""
    mdct_hop: Count = 160
    """Samples between MDCT frames (half the window)."""
    fold: Count = 2
    """MDCT frames side by side in one network frame."""
    merge: Count = 2
    """Network frames merged into one code frame."""
    dim: Count = 320
    """Width of the blocks at the network's frame rate."""
    depth: Natural = 4
    """ConvNeXt blocks at the network's frame rate, each side."""
    code_dim: Count = 288
    """Width of the blocks at the code rate."""
    code_depth: Natural = 1
    """ConvNeXt blocks at the code rate, each side."""
    parts: list[Count] = field(default_factory=lambda: [1, 1, 7, 15])
    """Codebooks of the four slices of the latent: semantic, pitch, envelope, waveform."""
    part_dims: list[Count] = field(default_factory=lambda: [32, 2, 64, 88])
    """Widths of the slices; of the pitch, one a network frame."""
    codebook_sizes: list[Count] = field(default_factory=lambda: [1024] * 24)
    """Codes of each codebook, slice after slice."""
    waveform_from: Natural = 0
    """Codebooks from which on the waveform's are decoded: a waveform of too few bits is worse than none."""
    compression: Positive = 0.02
    """MDCT coefficients x enter the network as asinh(x / compression); waveform terms y leave it as its inverse."""
    mels: Count = 64
    """Bands of the encoder's log-mel spectrum."""
    noise_frames: Count = 997
    """Length of the decoder's noise before it repeats, in MDCT frames. The noise itself is a fixed function of it and
    of ``mdct_hop`` (:func:`~codectok.codec.harmonic.noise.noise_table`), so that the fingerprint covers it."""
    search: str = "greedy"
    """How codes are searched: greedy, or beam-N; see :class:`~codectok.codec.rvq.ResidualVQ`."""
    ceiling_bands: Natural = field(default=0, metadata={"added": True})
    """Bands of the decoder whose loudness the latents limit; 0 for no limit."""
    peak: NotNegative = field(default=0.0, metadata={"added": True})
    """Largest sample that the decoder gives; 0 for no limit."""

    def __post_init__(self) -> None:
        if len(self.parts) != 4 or len(self.part_dims) != 4 or sum(self.parts) != len(self.codebook_sizes):
            raise FormatError(
                f"parts {self.parts}, part_dims {self.part_dims} and {len(self.codebook_sizes)} codebook_sizes do not "
                "fit: give four parts and as many codebook_sizes as they have codebooks"
            )
        _, pitch, envelope, waveform = self.part_dims
        if pitch != self.merge or envelope % self.merge or waveform % (self.merge * self.fold):
            raise FormatError(
                f"part_dims {self.part_dims} do not fit: the second must be merge ({self.merge}), the third a multiple "
                f"of it, the fourth a multiple of merge * fold ({self.merge * self.fold})"
            )
        if self.waveform_from > sum(self.parts):
            raise FormatError(
                f"waveform_from {self.waveform_from} is more than the {sum(self.parts)} codebooks: no waveform would "
                "be decoded"
            )
        if self.mels % self.bands:
            raise FormatError(
                f"{self.mels} mels do not divide into the {self.bands} bands of part_dims {self.part_dims}"
            )

    @property
    def frame(self) -> int:
        """Samples a network frame."""
        return self.mdct_hop * self.fold

    @property
    def frame_size(self) -> int:
        """Samples a code frame."""
        return self.frame * self.merge

    @property
    def latent_dim(self) -> int:
        """Width of the latent."""
        return sum(self.part_dims)

    @property
    def bands(self) -> int:
        """Envelope latents of one network frame."""
        return self.part_dims[2] // self.merge

    @property
    def bins(self) -> int:
        """Waveform latents of one MDCT frame."""
        return self.part_dims[3] // (self.merge * self.fold)

    @property
    def pitch_at(self) -> int:
        """First of the ``merge`` pitch latents."""
        return self.part_dims[0]

    @property
    def envelope_at(self) -> int:
        """First of the ``merge * bands`` envelope latents, ordered [network frame, band]."""
        return self.pitch_at + self.merge

    @property
    def waveform_at(self) -> int:
        """First of the ``merge * fold * bins`` waveform latents, ordered [MDCT frame, bin]."""
        return sum(self.part_dims[:3])
