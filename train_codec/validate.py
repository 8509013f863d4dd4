"""Quality of a codec on whole validation clips: with a quarter of its codebooks, and with all."""

from __future__ import annotations

import numpy as np

from codectok.codec.base import CodecModel
from codectok.codec.tokenizer import CodecTokenizer
from codectok.metrics.reconstruction import score_reconstruction
from train_codec.data import ClipArray


def validate(model: CodecModel, clips: ClipArray, count: int) -> dict[str, float]:
    """Mean PESQ, STOI, mel distance and used codes over ``count`` clips spread evenly; keys end in the codebooks."""
    tokenizer = CodecTokenizer(model, "in training", "", device=str(next(model.parameters()).device))
    step = max(1, len(clips.clips) // count)
    audio = [clips.read(clip) for clip in clips.clips[::step][:count]]
    top = len(model.codebook_sizes)
    out: dict[str, float] = {}
    for depth in sorted({max(1, top // 4), top}):
        scores = score_reconstruction(tokenizer, audio, model.sample_rate, depth, ("pesq", "stoi", "mel"))
        for metric, values in scores.values.items():
            if values:
                out[f"{metric}_{depth}"] = round(float(np.mean(values)), 4)
        out[f"used_{depth}"] = round(float(np.mean(scores.used)), 1)
    return out
