"""What probes are fed with, by name: see ``spec.py`` for how names are written."""

from __future__ import annotations

from collections.abc import Mapping

from .fitted import clip_key
from .fitted import fitted_clips as _fitted_clips
from .input import Input
from .spec import CODERS, Spec, parse_spec

__all__ = ["INPUTS", "Input", "clip_key", "fitted_clips", "open_input", "parse_spec"]

INPUTS = {
    "TOKENIZER": "codes of all codebooks; TOKENIZER is a packaged name, km:FOLDER, a model folder or a hub id",
    "TOKENIZER@1.5": "the most codebooks within 1.5 kbit/s",
    "TOKENIZER@k8": "the first 8 codebooks",
    "TOKENIZER@300tok": "the most codebooks within 300 tokens per second: equal token rate",
    "TOKENIZER@low": "the most codebooks of DASB's class: low (to 1.5), medium (2.9 to 6), high (20 to 24 kbit/s)",
    "TOKENIZER:features": "the continuous representation just before quantization",
    "TOKENIZER:quantized@1.5": "what those codes say of the features",
    "logmel@100": "80 log-mel bands, 100 or 50 frames per second",
    "random@1.5": "codes drawn anew for each clip: a floor; decoded by the default codec",
    "pcm": "8-bit mu-law samples, in resynthesis only",
    "original": "the clips themselves, in resynthesis only",
    "opus@6 codec2@1.2 speex@4": "classical coders at so many kbit/s, in resynthesis only",
}
"""How inputs are written, and what they are."""


def open_input(spec: str, *, device: str = "cpu", folders: Mapping[str, str] | None = None) -> Input:
    """Open an input by its specification; ``{NAME}`` in it stands for ``folders[NAME]``.

    Raises:
        NotComputed: it cannot be used here: a folder or program is missing, no bitrate of that class.
        CodeRangeError: not so many codebooks, or a bitrate below one codebook's.
        UnknownTokenizerError: no such tokenizer.
        CodectokError: not a specification, or quantized features of a tokenizer that has none.
    """
    parsed: Spec = parse_spec(spec, folders)
    if parsed.source in CODERS:
        from .classical import open_classical

        return open_classical(parsed.text, parsed.source, float(parsed.setting))
    if parsed.source in ("logmel", "original"):
        from .plain import LogMelInput, OriginalInput

        return LogMelInput(parsed) if parsed.source == "logmel" else OriginalInput(parsed)
    from .tokenizers import open_tokenizer_input

    return open_tokenizer_input(parsed, device)


def fitted_clips(opened: Input) -> frozenset[str]:
    """Which clips an input was fitted on, as :func:`clip_key` of their paths; empty where none or unknown."""
    return frozenset() if opened.tokenizer is None else _fitted_clips(opened.source, opened.tokenizer.folder)
