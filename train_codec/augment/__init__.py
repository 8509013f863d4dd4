"""Augmentations of training crops: pure functions of the samples and a random generator."""

from train_codec.augment.chain import Augment, Augmenter

__all__ = ["Augment", "Augmenter"]
