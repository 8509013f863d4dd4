"""Opening an encoder by name: a Hugging Face folder or hub id, or a name of the kind ``encoders``."""

from __future__ import annotations

import os
from collections.abc import Sequence

from codectok.errors import CodectokError
from codectok.units.encoders.options import EncoderOptions, open_encoder
from codectok.units.encoders.speech_encoder import SpeechEncoder


def load_encoder(
    name: str | os.PathLike[str],
    layer: int | Sequence[int],
    device: str = "cpu",
    *,
    convention: str = "hf",
    padding: str = "hop",
    dtype: str = "float32",
    window_seconds: float | None = None,
    overlap_seconds: float | None = None,
    tail_seconds: float | None = None,
    batch_seconds: float | None = None,
    trainable: bool = False,
) -> SpeechEncoder:
    """A speech model, or a baseline, as a feature extractor.

    HuBERT, WavLM, wav2vec 2.0 (XLS-R, MMS), data2vec-audio, UniSpeech (-SAT), wav2vec 2.0 Conformer, w2v-BERT 2.0, the
    Whisper encoder and the audio spectrogram transformer (AST).

    Args:
        name: a Hugging Face model folder (safetensors; a pickle is never read) or hub id, of a ``model_type`` that
            ``codectok info --list encoder_types`` shows; or "logmel", "mfcc" or another of ``--list encoders``.
        layer: one, or several whose features come side by side; numbered as ``convention`` says, negative numbers
            counting from the last. Layers above the highest are neither read nor computed. Of the baselines: 0.
        device: for torch.
        convention: "hf", "fairseq" or "pre-residual": see :data:`codectok.units.encoders.conventions.CONVENTIONS`.
        padding: "hop" for ``ceil(S / hop)`` frames, "none" for the frames that published units were made with: see
            :class:`codectok.units.encoders.speech_encoder.SpeechEncoder`. Whisper knows "hop" only.
        dtype: "float32", "bfloat16" or (CPU) "int8"; features come back as float32 in any case.
        window_seconds: longest audio run at once; default 60 s, and what the model has positions for where that is
            less (Whisper: 30 s).
        overlap_seconds: that windows of longer audio share; default 10 s, and for AST a third of a window.
        tail_seconds: of Whisper only: see :class:`codectok.units.encoders.families.WhisperEncoder`.
        batch_seconds: see :class:`codectok.units.encoders.speech_encoder.SpeechEncoder`.
        trainable: leave the layers as gradients go through them, without what makes them faster on a CPU.

    Raises:
        FormatError: no such model, an unknown family, missing weights, or another sample rate than 16 kHz.
        CodectokError: a layer or option out of range, or transformers is not installed.

    Examples:
        >>> from codectok.units import load_encoder
        >>> load_encoder("logmel", layer=0).features(np.zeros(16000)).shape
        torch.Size([100, 80])
    """
    options = EncoderOptions(
        name=str(name),
        layer=layer,
        convention=convention,
        padding=padding,
        dtype=dtype,
        window_seconds=window_seconds,
        overlap_seconds=overlap_seconds,
        tail_seconds=tail_seconds,
        device=device,
        batch_seconds=batch_seconds,
        trainable=trainable,
    )
    found = open_encoder(options)
    if not isinstance(found, SpeechEncoder):
        raise CodectokError(f"what opens {name} gives a {type(found).__name__}, no codectok.units.SpeechEncoder")
    return found
