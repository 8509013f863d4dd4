"""What a language model is given of the audio, as settings: which input, of which encoder, through which projector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from codectok import registry
from codectok.errors import FormatError
from codectok.llm.continuous.registry import PROJECTORS
from codectok.settings.kinds import Natural, NotNegative

FILE = "audio_input.json"
"""Of a folder whose model hears; it has these settings, and the fingerprints of the encoders."""
PROJECTED = ("continuous", "quantized", "shuffled")
"""Inputs that go through the projector."""
SHORT = {"conv": "strided-conv", "qformer": "q-former", "ctc": "ctc-compressor"}
"""Short names of projectors."""
CROSS_ATTENTION = "xattn"
"""In place of a projector's name: gated cross-attention, which puts no soft tokens into the prompt."""


@dataclass(frozen=True)
class AudioInput:
    """What the language model is given of the audio."""

    input: Literal["continuous", "discrete", "quantized", "none", "shuffled"] = "continuous"
    """Features through the projector; codes as tokens of the vocabulary; the codes' vectors through the projector; no
    audio at all; or the features of another clip, through the projector."""
    encoder: str = "units"
    """Of the features: ``NAME@layer=L`` of a speech encoder (a folder, a hub id, or ``logmel``), or a tokenizer, whose
    features come just before its quantizer. Several side by side (SALMONN, WavLLM) are joined by a plus."""
    encoder_train: Literal["frozen", "lora", "full"] = "frozen"
    """What moves of the encoder: nothing, low-rank updates of its linear layers, or all of it."""
    tokenizer: str = ""
    """Of the codes, for discrete and quantized; empty for ``encoder``, where that is a tokenizer."""
    codebooks: Natural = 0
    """First codebooks of the codes that are used; 0 for all."""
    init: Literal["mean", "mean+noise", "normal", "text", "codebook"] = "mean+noise"
    """First values of the rows of codes, for discrete input of a model that has no audio tokens yet."""
    projector: str = "linear"
    """``linear``, ``mlp``, ``conv``, ``qformer``, ``ctc`` (which needs transcripts), another of the kind
    ``projectors``, or ``xattn`` for gated cross-attention (Flamingo)."""
    projector_options: Mapping[str, Any] = field(default_factory=dict)
    """Of the projector, or of the cross-attention."""
    target: str = "text"
    """Label of the manifest that the model is to say."""
    prompt: str = "Answer: "
    """Text between the audio and what is said."""
    transcripts: str = "text"
    """Label whose letters the CTC projector learns."""
    ctc_weight: NotNegative = 1.0
    """Of the CTC projector's own loss, beside the language model's."""
    cache: str = ""
    """Folder that features of a frozen encoder are kept in, for other runs too; empty for the run's own."""

    def __post_init__(self) -> None:
        if self.projector != CROSS_ATTENTION:
            self.kind  # noqa: B018  an unknown name is refused here
        if not self.prompt.strip():
            raise FormatError("prompt is empty: write some text that what is said stands behind, such as 'Answer: '")
        if not all(self.encoders):
            raise FormatError(f"encoder {self.encoder!r}: write one name, or several joined by a plus")
        if self.encoder_train != "frozen" and self.input not in ("continuous", "shuffled"):
            raise FormatError(f"encoder_train {self.encoder_train} with input {self.input}: its encoder stays frozen")

    @property
    def kind(self) -> str:
        """The projector by its name in the registry."""
        name = SHORT.get(self.projector, self.projector)
        PROJECTORS[name]
        return name

    @property
    def encoders(self) -> tuple[str, ...]:
        """Of the features, each as ``codectok.load`` takes it."""
        return tuple(loaded_as(part.strip()) for part in self.encoder.split("+"))

    @property
    def coder(self) -> str:
        """The tokenizer of the codes.

        Raises:
            FormatError: none is named.
        """
        name = self.tokenizer or self.encoders[0]
        if name.startswith("encoder:") or (not self.tokenizer and len(self.encoders) > 1):
            raise FormatError(
                f"input {self.input} needs codes, and {self.encoder} has features alone: name a tokenizer beside it, "
                "tokenizer=units or tokenizer=km:FOLDER"
            )
        return name

    @property
    def with_ctc(self) -> bool:
        """Whether the projector learns from transcripts."""
        return self.input in PROJECTED and self.projector != CROSS_ATTENTION and self.kind == "ctc-compressor"

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"projector_options": dict(self.projector_options)}


def loaded_as(spec: str) -> str:
    """An encoder's spec as ``codectok.load`` takes it: ``NAME@layer=L`` is ``encoder:NAME@layer=L``."""
    baseline = registry.known("encoders", spec)
    return f"encoder:{spec}" if ("@layer=" in spec or baseline) and not spec.startswith("encoder:") else spec
