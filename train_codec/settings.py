"""What a training run needs, in groups. A recipe is flat: every field of every group is a key of its own."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class DataSettings:
    """Where the audio comes from and how it is cut."""

    data: str = ""
    """A folder, a manifest or tar shards: see :func:`train_codec.data.open_clips`."""
    splits: str = ""
    """Table with columns path and use; clips marked ``fit`` are trained on, ``val`` validated on. Empty: by speaker."""
    val_share: float = 0.02
    """Share of the speakers validated on, where neither ``splits`` nor the data says."""
    cache: str = ".cache/train"
    """Folder for decoded clips and the teacher's features."""
    batch: int = 16
    """Crops a step, of all processes together."""
    crop_seconds: float = 1.28


@dataclass
class RunSettings:
    """The run as a whole."""

    out: str = "runs/codec"
    """Folder of the run: checkpoint.pt, log.jsonl, tensorboard/, model/ (the model folder)."""
    steps: int = 10000
    start_from: str = ""
    """Model folder or packaged tokenizer whose weights, codebooks included, a new run starts with (no k-means then)."""
    seed: int = 0
    threads: int = 1
    """CPU threads. On cores shared with other work, one is faster than two."""
    bf16: bool = True
    """Matrix products in bfloat16; quantizer, transforms and losses stay float32."""
    log_every: int = 100
    checkpoint_every: int = 500
    validate_every: int = 1000
    val_clips: int = 24
    val_codebooks: list[int] = field(default_factory=list)
    """Numbers of codebooks validated; empty for a quarter and all."""
    tensorboard: bool = True


@dataclass
class OptimizerSettings:
    """AdamW on the codec."""

    learning_rate: float = 8e-4
    warmup_steps: int = 200
    decay_share: float = 0.4
    """Share of the steps, at the end, over which the learning rate falls to a fiftieth."""
    beta1: float = 0.8
    beta2: float = 0.99
    weight_decay: float = 0.01
    clip_norm: float = 5.0
    """Largest norm of the gradient; beyond it is scaled down."""
    ema_decay: float = 0.999
    """Of the averaged weights that are validated and released."""


@dataclass
class QuantizerSettings:
    """How the codebooks are trained."""

    quantize_from: int = 400
    """Steps trained as a plain autoencoder before the codebooks start from k-means on its latents."""
    codebook_decay: float = 0.99
    revive_every: int = 20
    """Steps between revivals of dead codes; they are global operations when there are several processes."""
    revive_below: float = 0.05
    """A code is dead when it is used less than this share of uniform."""
    depths: list[int] = field(default_factory=list)
    """Numbers of codebooks (quantizer dropout) that ``depth_shares`` of the items are quantized with."""
    depth_shares: list[float] = field(default_factory=list)
    """One share a depth; the other items draw a depth uniformly. Both empty: every item uses all codebooks."""


@dataclass
class LossSettings:
    """Weights of the losses; 0 leaves one out."""

    windows: list[int] = field(default_factory=lambda: [128, 256, 512, 1024, 2048])
    windows_per_step: int = 3
    """Window lengths drawn each step: spectra cost as much as the networks on a CPU."""
    mel_kind: str = "shared"
    """``shared`` with the complex loss, over the windows drawn; or ``dac`` or ``encodec``, as those papers have it."""
    mel_weight: float = 20.0
    complex_weight: float = 20.0
    stft_weight: float = 0.0
    waveform_weight: float = 3.0
    """L1 relative to each crop's RMS."""
    l1_weight: float = 0.0
    """Plain L1 of the waveform."""
    perceptual_weight: float = 0.0
    phase_from: int = 0
    """Items quantized with this many codebooks or fewer have no complex and waveform loss: too few bits for phase."""
    commitment_weight: float = 0.3
    codebook_weight: float = 1.0
    """Of codebooks that learn by gradient (factorised, Gumbel)."""
    pitch_weight: float = 0.0
    balancer: bool = False
    """Weights are shares of the gradient at the waveform (EnCodec's balancer) instead of factors."""


@dataclass
class AdversarialSettings:
    """Discriminators; none by default."""

    discriminators: list[str] = field(default_factory=list)
    """Any of ms_stft, periods, bands, frames, frames_small."""
    adversarial_kind: str = "hinge"
    adversarial_from: int = 0
    """First step with a discriminator."""
    adversarial_items: int = 0
    """Crops of a batch that the discriminators hear (in each process); 0 for all."""
    adversarial_weight: float = 1.0
    feature_weight: float = 2.0
    discriminator_learning_rate: float = 3e-4


@dataclass
class DistillSettings:
    """A teacher for the first codebook; none by default."""

    teacher: str = ""
    """Model folder or hub id of a speech encoder that transformers reads."""
    teacher_layer: int = -1
    teacher_dim: int = 128
    """Principal components of the teacher's features that are kept; 0 for all."""
    teacher_dtype: str = "float32"
    teacher_tail_seconds: float = 0.0
    """Whisper only: silence after each clip instead of padding to its 30 s window; 0 for the whole window."""
    distill_kind: str = "cosine"
    distill_weight: float = 1.0
