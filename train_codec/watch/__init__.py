"""What a person sees of a run: progress, codebook health, TensorBoard, curves."""

from train_codec.watch.board import Board
from train_codec.watch.health import CodebookHealth
from train_codec.watch.plot import plot
from train_codec.watch.progress import RunProgress

__all__ = ["Board", "CodebookHealth", "RunProgress", "plot"]
