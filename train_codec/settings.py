"""What a training run needs, in groups. A recipe is flat: every field of every group is a key of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Lt

from codectok import registry
from codectok.errors import FormatError
from codectok.settings.kinds import Count, Natural, NotNegative, OneOf, Positive, Share

Decay = Annotated[float, Ge(0), Lt(1)]
"""Of a moving average: from 0 to below 1."""


@dataclass
class DataSettings:
    """Where the audio comes from and how it is cut."""

    data: str = ""
    """A folder, a manifest or tar shards: see :func:`train_codec.data.open_clips`."""
    splits: str = ""
    """Table with columns path and use; clips marked ``fit`` are trained on, ``val`` validated on. Empty: by speaker."""
    val_share: Share = 0.02
    """Share of the speakers validated on, where neither ``splits`` nor the data says."""
    cache: str = ".cache/train"
    """Folder for decoded clips and the teacher's features."""
    batch: Count = 16
    """Crops a step, of all processes together."""
    crop_seconds: Positive = 1.28
    """Length of a crop, brought to whole frames."""


@dataclass
class RunSettings:
    """The run as a whole."""

    out: str = "runs/codec"
    """Folder of the run: checkpoint.pt, log.jsonl, tensorboard/, model/ (the model folder)."""
    steps: Count = 10000
    """Updates in all."""
    start_from: str = ""
    """Model folder or packaged tokenizer whose weights, codebooks included, a new run starts with (no k-means then)."""
    freeze: list[Literal["encoder", "quantizer", "decoder"]] = field(default_factory=list)
    """Parts that stay as they are: with the first two, all codes do."""
    seed: Natural = 0
    """Of everything that is drawn."""
    threads: Count = 1
    """CPU threads. On cores shared with other work, one is faster than two."""
    bf16: bool = True
    """Matrix products in bfloat16; quantizer, transforms and losses stay float32."""
    log_every: Count = 100
    """Steps between lines of the log."""
    checkpoint_every: Count = 500
    """Steps between checkpoints."""
    validate_every: Count = 1000
    """Steps between validations."""
    val_clips: Count = 24
    """Clips that are validated on, at most."""
    val_codebooks: list[Count] = field(default_factory=list)
    """Numbers of codebooks validated; empty for a quarter and all."""
    tensorboard: bool = True
    """Write figures, spectrograms and audio for TensorBoard."""


@dataclass
class OptimizerSettings:
    """AdamW on the codec."""

    learning_rate: Positive = 8e-4
    """After the warm-up and before the decay."""
    warmup_steps: Natural = 200
    """Steps over which the learning rate rises from 0."""
    decay_share: Share = 0.4
    """Share of the steps, at the end, over which the learning rate falls to a fiftieth."""
    beta1: Decay = 0.8
    """Of AdamW's mean of gradients."""
    beta2: Decay = 0.99
    """Of AdamW's mean of squared gradients."""
    weight_decay: NotNegative = 0.01
    """Decoupled, times the learning rate."""
    clip_norm: Positive = 5.0
    """Largest norm of the gradient; beyond it is scaled down."""
    ema_decay: Share = 0.999
    """Of the averaged weights that are validated and released."""


@dataclass
class QuantizerSettings:
    """How the codebooks are trained."""

    quantize_from: Natural = 400
    """Steps trained as a plain autoencoder, or through a noise channel, before the codebooks start from k-means on its
    latents."""
    noise_rate: NotNegative = 0.0
    """Bits a code frame that those latents carry through noise of variance 1; 0 for no noise."""
    noise_weight: Positive = 0.02
    """Of the rate, to begin with: it follows what holds the rate at ``noise_rate``."""
    fit_frames: Natural = 0
    """Frames that codebooks start from; 0 for 32 a code."""
    fit_rounds: Natural = 0
    """Rounds in which all levels of a fit are then moved to their best together."""
    keep_codes: bool = False
    """Once the codebooks are fitted, they stay, and so does all but the decoder."""
    codebook_decay: Decay = 0.99
    """Of the moving averages that codes are."""
    revive_every: Natural = 20
    """Steps between revivals of dead codes, 0 for none; they are global operations when there are several processes."""
    revive_below: NotNegative = 0.05
    """A code is dead when it is used less than this share of uniform."""
    depths: list[Count] = field(default_factory=list)
    """Numbers of codebooks (quantizer dropout) that ``depth_shares`` of the items are quantized with."""
    depth_shares: list[Share] = field(default_factory=list)
    """One share a depth; the other items draw a depth uniformly. Both empty: every item uses all codebooks."""

    def __post_init__(self) -> None:
        if len(self.depths) != len(self.depth_shares) or sum(self.depth_shares) > 1:
            raise FormatError("depths and depth_shares must be of one length, the shares at most 1 together")


@dataclass
class LossSettings:
    """Weights of the losses; 0 leaves one out."""

    windows: list[Count] = field(default_factory=lambda: [128, 256, 512, 1024, 2048])
    """Lengths of the spectral losses' windows in samples."""
    windows_per_step: Count = 3
    """Window lengths drawn each step: spectra cost as much as the networks on a CPU."""
    mel_kind: Literal["shared", "dac", "encodec"] = "shared"
    """``shared`` with the complex loss, over the windows drawn; or ``dac`` or ``encodec``, as those papers have it."""
    mel_weight: NotNegative = 20.0
    """L1 of log-mel spectra."""
    complex_weight: NotNegative = 20.0
    """L1 of compressed complex spectra."""
    stft_weight: NotNegative = 0.0
    """Spectral convergence and L1 of log magnitudes."""
    waveform_weight: NotNegative = 3.0
    """L1 relative to each crop's RMS."""
    l1_weight: NotNegative = 0.0
    """Plain L1 of the waveform."""
    band_noise_weight: NotNegative = 0.0
    """Of the noise-to-signal ratio in bands, saturating; bound to phase."""
    perceptual_weight: NotNegative = 0.0
    """Distance in loudness, as PESQ hears it."""
    phase_from: Natural = 0
    """Items quantized with this many codebooks or fewer have no loss bound to phase (complex, waveform, band noise):
    too few bits for it."""
    commitment_weight: NotNegative = 0.3
    """Distance of latents to their codes' vectors."""
    codebook_weight: NotNegative = 1.0
    """Of codebooks that learn by gradient (factorised, Gumbel)."""
    pitch_weight: NotNegative = 0.0
    """Of pitch and voicing, which the harmonic codec's second part codes."""
    level_weight: NotNegative = 0.0
    """Of the crop's level, whole and in octaves: what no other loss hears alone."""
    bands_weight: NotNegative = 0.0
    """Of the level of octaves in 20 ms frames."""
    excess_weight: NotNegative = 0.0
    """Of amplitude over the target's in octaves and frames, linear: bursts."""
    over_weight: NotNegative = 0.0
    """Of what octaves in frames have beyond 3 dB over the target's, in bels: many frames somewhat too loud."""
    ceiling_weight: NotNegative = 0.3
    """Of the decoder's ceilings, where the codec has them (``ceiling_bands``)."""
    balancer: bool = False
    """Weights are shares of the gradient at the waveform (EnCodec's balancer) instead of factors."""

    def __post_init__(self) -> None:
        if self.windows_per_step > len(self.windows):
            raise FormatError(f"windows_per_step is more than the {len(self.windows)} windows")


@dataclass
class AdversarialSettings:
    """Discriminators; none by default."""

    discriminators: list[Annotated[str, OneOf(registry.names("discriminators"))]] = field(default_factory=list)
    """Each once."""
    adversarial_kind: Annotated[str, OneOf(registry.names("adversarial_losses"))] = "hinge"
    """Form of the adversarial loss."""
    adversarial_from: Natural = 0
    """First step with a discriminator."""
    adversarial_items: Natural = 0
    """Crops of a batch that the discriminators hear (in each process); 0 for all."""
    adversarial_weight: NotNegative = 1.0
    """Of what the discriminators say of the codec's audio."""
    feature_weight: NotNegative = 2.0
    """Of the distance of the discriminators' features (feature matching)."""
    discriminator_learning_rate: Positive = 3e-4
    """Of all discriminators; warmed up and decayed with the codec's."""


@dataclass
class DistillSettings:
    """A teacher for the first codebook; none by default."""

    teacher: str = ""
    """Model folder or hub id of a speech encoder that transformers reads."""
    teacher_layer: int = -1
    """Of its hidden states: 0 is the input of the first layer, -1 the last."""
    teacher_dim: Natural = 128
    """Principal components of the teacher's features that are kept; 0 for all."""
    teacher_dtype: str = "float32"
    """The teacher's arithmetic: float32, bfloat16, or on a CPU int8."""
    teacher_tail_seconds: NotNegative = 0.0
    """Whisper only: silence after each clip instead of padding to its 30 s window; 0 for the whole window."""
    distill_kind: Literal["cosine", "d-axis", "t-axis"] = "cosine"
    """Cosine of each frame; or of SpeechTokenizer, over the features' axes (``d-axis``) or frames (``t-axis``)."""
    distill_weight: NotNegative = 1.0
    """Of the distance of the first codebook's vectors to the teacher's features."""
    first_steps: Natural = 0
    """First steps, in which nothing but the branch of the first codebook learns, for codecs that have one. It stays as
    it is then."""
