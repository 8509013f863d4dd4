"""Shape of the envelope codec, and how its latent is laid out."""

from __future__ import annotations

from dataclasses import dataclass, field

from codectok.errors import FormatError

# Meaning of the pitch latents: log f0 = log(PITCH_CENTRE) + latent / PITCH_SCALE, kept within PITCH_RANGE; voicing is
# latent / VOICING_SCALE. Codebooks are fitted to these numbers: others would be another codec_type.
PITCH_CENTRE = 150.0
PITCH_SCALE = 15.0
PITCH_RANGE = (55.0, 550.0)
VOICING_SCALE = 4.0
FRAMES = 2
"""MDCT frames of one code frame."""


@dataclass
class EnvelopeCodecConfig:
    """Shape of an :class:`~codectok.codec.envelope.EnvelopeCodec`. Everything that changes the codes stands here.

    Raises:
        FormatError: the parts, their widths and the codebooks do not fit each other.
    """

    sample_rate: int = 16000
    """Hz."""
    mdct_hop: int = 320
    """Samples between MDCT frames (half the window); two of them are a code frame."""
    bands: int = 24
    """Bands of the envelope, equally spaced on the ERB scale."""
    parts: list[int] = field(default_factory=lambda: [1, 1, 4, 18])
    """Codebooks of the four slices of the latent: semantic, pitch, envelope, shape."""
    part_dims: list[int] = field(default_factory=lambda: [32, 4, 32, 144])
    """Widths of the slices; of the pitch, two pitches and two voicings."""
    codebook_sizes: list[int] = field(default_factory=lambda: [1024] * 24)
    """Codes of each codebook, slice after slice."""
    search: str = "greedy"
    """How codes are searched: greedy, or beam-N; see :class:`~codectok.codec.rvq.ResidualVQ`."""
    compression: float = 1.5
    """Coefficients over their envelope x enter the encoder as asinh(x / compression)."""
    encoder_dim: int = 384
    """Width of the encoder's blocks."""
    encoder_depth: int = 4
    """ConvNeXt blocks of the encoder."""
    decoder_dim: int = 384
    """Width of the decoder's blocks."""
    decoder_depth: int = 5
    """ConvNeXt blocks of the decoder."""
    semantic_dim: int = 160
    """Width of the semantic branch."""
    semantic_depth: int = 3
    """ConvNeXt blocks of the semantic branch."""
    mels: int = 64
    """Bands of the semantic branch's log-mel spectrum."""
    source_bins: int = 120
    """MDCT bins of the source that the decoder's network sees."""
    noise_frames: int = 997
    """Length of the decoder's noise before it repeats, in MDCT frames; see
    :func:`~codectok.codec.harmonic.noise.noise_table`."""

    def __post_init__(self) -> None:
        if len(self.parts) != 4 or len(self.part_dims) != 4 or sum(self.parts) != len(self.codebook_sizes):
            raise FormatError(
                f"parts {self.parts}, part_dims {self.part_dims} and {len(self.codebook_sizes)} codebook_sizes do not "
                "fit: give four parts and as many codebook_sizes as they have codebooks"
            )
        if self.parts[0] != 1 or self.part_dims[1] != 2 * FRAMES or self.part_dims[2] > FRAMES * self.bands:
            raise FormatError(
                f"parts {self.parts} and part_dims {self.part_dims} do not fit: give the first part one codebook, the "
                f"second width {2 * FRAMES}, the third at most {FRAMES * self.bands} (two frames of {self.bands} bands)"
            )
        if not 0 < self.source_bins <= self.mdct_hop or self.mdct_hop % 4:
            raise FormatError(
                f"mdct_hop {self.mdct_hop} and source_bins {self.source_bins} do not fit: give a hop that 4 divides, "
                "and 1 to that many bins"
            )

    @property
    def frame_size(self) -> int:
        """Samples a code frame."""
        return FRAMES * self.mdct_hop

    @property
    def latent_dim(self) -> int:
        """Width of the latent."""
        return sum(self.part_dims)
