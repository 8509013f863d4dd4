"""Semantic distillation of the first codebook: a teacher's features on disk, and the losses that pull towards them."""

from train_codec.distill.loss import DistillationLoss
from train_codec.distill.teacher import TeacherCache, TeacherSpec

__all__ = ["DistillationLoss", "TeacherCache", "TeacherSpec"]
