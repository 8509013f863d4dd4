"""Distilling a speech encoder into the unit codec: its features by regression, its k-means units by cross-entropy.

Features alone leave the small network to spend itself on whatever varies most; what will be read off them is which
centroid is nearest. So the teacher's frames are clustered first, and the student's latents z are asked for the
teacher's cluster u among the centroids c by ``softmax(-|z - c|^2 / tau)``, tau learned: the same distances that the
codebook decides by. Soft assignment to clusters as in DinoSR (Liu et al. 2023); clusters as targets as in HuBERT.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codectok.codec.folder import save_codec
from codectok.units.student import UnitCodec
from train_codec.augment import Augmenter
from train_codec.data import ClipArray, draw, open_clips
from train_codec.distill import TeacherCache, TeacherSpec
from train_codec.student.loop import Loop
from train_codec.student.settings import StudentRecipe
from train_codec.student.validate import agreement

FIT_FRAMES = 200_000
"""Frames that the teacher's k-means is fitted on."""
FIT_ITERATIONS = 30


class Student(nn.Module):
    """The codec and the temperature of its soft assignment, which is not part of it.

    Latents are the teacher's components times ``scale`` (their mean variance is 1).
    """

    scale: Tensor

    def __init__(self, codec: UnitCodec) -> None:
        super().__init__()
        self.codec = codec
        # Distances grow with the dimensions; from here it is learned.
        self.log_tau = nn.Parameter(torch.tensor(codec.latent_dim / 6).log())
        self.register_buffer("scale", torch.tensor(1.0))

    def forward(self, audio: Tensor) -> Tensor:
        """Audio [B, T * frame_size] -> latents float32 [B, T - ahead, D] of its first frames."""
        return self.codec.encode_step(audio, None, False)[0].float()

    def unit_logits(self, z: Tensor) -> Tensor:
        """Latents [..., D] -> [..., codes of the first codebook]."""
        centroids = self.codec.quantizer.levels[0].vectors
        products = 2 * z @ centroids.T - centroids.square().sum(1)
        return products * torch.exp(-self.log_tau)


class StudentLoop(Loop):
    """One run. The averaged student's codec is what is released."""

    recipe: StudentRecipe

    def __init__(self, recipe: StudentRecipe) -> None:
        super().__init__(recipe)
        self.own = recipe.own
        codec = UnitCodec(recipe.config)
        self.frame = codec.frame_size
        ahead = recipe.config.ahead
        self.crop = (max(1, round(recipe.data.crop_seconds * codec.sample_rate / self.frame)) + ahead) * self.frame
        self.step_seconds = recipe.data.batch * (self.crop / self.frame - ahead) * self.frame / codec.sample_rate
        self.augmenter = Augmenter.open(recipe.augment, codec.sample_rate, recipe.data.cache)
        self.clips = self._clips("fit")
        self.teacher = self._teacher(self.clips, None)
        self.val = self._clips("val")
        self.val_teacher = self._teacher(self.val, self.teacher)
        student = Student(codec)
        self._fit_units(student)
        self.start(student)

    def _clips(self, use: str) -> ClipArray:
        d, rate = self.recipe.data, self.recipe.config.sample_rate
        return open_clips(d.data, use, d.cache, rate, splits=d.splits, val_share=d.val_share)

    def _teacher(self, clips: ClipArray, basis_of: TeacherCache | None) -> TeacherCache:
        s = self.own
        spec = TeacherSpec(s.teacher, s.teacher_dtype, s.teacher_tail_seconds or None, str(self.device))
        folder, dim = Path(self.recipe.data.cache) / "teacher", self.recipe.config.latent_dim
        return TeacherCache.open_or_make(clips, spec, folder, s.teacher_layer, dim, basis_of=basis_of)

    def _fit_units(self, student: Student) -> None:
        """The teacher's k-means, at the scale of the latents, into the codebook; the same in every run of a seed."""
        generator = torch.Generator().manual_seed(self.recipe.run.seed)
        features = self.teacher.features
        rows = torch.randperm(len(features), generator=generator)[:FIT_FRAMES].sort().values
        frames = torch.from_numpy(features[rows.numpy()]).float()
        student.scale.fill_(float(frames.var(0).mean().rsqrt()))
        student.codec.quantizer.fit(frames * student.scale, FIT_ITERATIONS, self.recipe.run.seed)

    # -- a step -------------------------------------------------------------------------------------------------------

    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Audio [B, S], the teacher's features [B, T, D] and which of them count [B, T]."""
        d = self.recipe.data
        crops = draw(self.clips, step, self.recipe.run.seed, d.batch, self.crop, self.frame, augment=self.augmenter)
        frames = self.crop // self.frame - self.recipe.config.ahead
        # The teacher's frames as they are: code frame t stands for the same samples.
        start = crops.start + int(self.teacher.grid.offset)
        targets, mask = self.teacher.targets(crops.clip, start, frames, self.frame)
        return crops.audio, targets, mask & crops.aligned[:, None]

    def losses(self, batch: Any) -> dict[str, Tensor]:
        """``feature``: squared distance relative to the teacher's variance; ``unit``: cross-entropy in nats."""
        audio, targets, mask = (x.to(self.device) for x in batch)
        student: Any = self.network
        z = student(audio)[mask]
        with torch.autocast(self.device.type, enabled=False):
            aim = targets[mask] * student.scale
            units = student.codec.quantizer.levels[0].search(aim)
            return {
                "feature": self.own.feature_weight * (z - aim).square().mean(),
                "unit": self.own.unit_weight * F.cross_entropy(student.unit_logits(z), units),
            }

    # -- results ------------------------------------------------------------------------------------------------------

    def released(self) -> UnitCodec:
        """The averaged codec, with the codebook that the recipe asks for."""
        student: Any = self.average
        codec: UnitCodec = student.codec.eval()
        if self.own.codebook == "own":
            codec = self._refitted(codec)
        return codec

    @torch.no_grad()
    def _refitted(self, codec: UnitCodec) -> UnitCodec:
        """A copy whose codebooks are k-means of its own latents of the training clips."""
        codec = copy.deepcopy(codec)
        latents = []
        for i in torch.randperm(len(self.clips), generator=torch.Generator().manual_seed(0)).tolist():
            audio = torch.from_numpy(self.clips.read(self.clips.clips[i]))[None].to(self.device)
            latents.append(codec.encode_step(audio, None, True)[0][0])
            if sum(map(len, latents)) >= FIT_FRAMES:
                break
        codec.quantizer.fit(torch.cat(latents), FIT_ITERATIONS, self.recipe.run.seed)
        return codec

    def validate(self) -> dict[str, float]:
        """See :func:`train_codec.student.validate.agreement`."""
        student: Any = self.average
        return agreement(student, self.val, self.val_teacher, self.own.val_clips)

    def export(self) -> Path:
        """Write the averaged codec as a model folder in float16; returns the folder."""
        save_codec(self.released(), self.out / "model", torch.float16)
        return self.out / "model"
