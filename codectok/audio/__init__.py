"""Audio in and out: the one place that touches audio files (soundfile).

Samples are float32 mono [S] throughout. Several channels are mixed down by their mean.
"""

from codectok.audio.clip import clip_at, no_rate
from codectok.audio.reader import AudioReader, read_audio, resampled_blocks, tell
from codectok.audio.samples import (
    Resampler,
    as_mono,
    as_written,
    check_finite,
    check_rate,
    check_samples,
    check_scale,
    count_loud,
    resample,
    to_int16,
)
from codectok.audio.writer import AudioWriter, write_audio

__all__ = [
    "AudioReader",
    "AudioWriter",
    "Resampler",
    "as_mono",
    "as_written",
    "check_finite",
    "check_rate",
    "check_samples",
    "check_scale",
    "clip_at",
    "count_loud",
    "no_rate",
    "read_audio",
    "resample",
    "resampled_blocks",
    "tell",
    "to_int16",
    "write_audio",
]
