"""Training audio: any source decoded once into one int16 array on disk, and crops that depend only on (seed, step)."""

from train_codec.data.clips import ClipArray, ClipSpan
from train_codec.data.draw import CropBatch, draw
from train_codec.data.files import list_clips
from train_codec.data.prefetch import prefetch
from train_codec.data.sources import load_clips, open_clips

__all__ = ["ClipArray", "ClipSpan", "CropBatch", "draw", "list_clips", "load_clips", "open_clips", "prefetch"]
