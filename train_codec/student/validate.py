"""How well a student's units stand for its teacher's, on whole clips."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from codectok.metrics.units import chance_pnmi, contingency, pnmi
from train_codec.data import ClipArray
from train_codec.distill import TeacherCache


@torch.no_grad()
def agreement(student: Any, clips: ClipArray, teacher: TeacherCache, count: int) -> dict[str, float]:
    """Scores over ``count`` clips spread evenly over ``clips``.

    ``same``: share of frames with the teacher's own unit; ``pnmi``: share of the entropy of the teacher's units that
    the student's tell, less what chance alone gives; ``cosine`` of latents and features, about the teacher's mean;
    ``used``: different units.

    Args:
        student: :class:`train_codec.student.distil.Student`.
        clips: whole clips.
        teacher: its features of the same clips.
        count: clips to score.
    """
    codec, scale = student.codec.eval(), student.scale
    device = scale.device
    ours, theirs, cosines = [], [], []
    count = min(count, len(clips))
    for i in (j * len(clips) // count for j in range(count)):
        z = codec.encode_step(torch.from_numpy(clips.read(clips.clips[i]))[None].to(device), None, True)[0][0]
        aim = torch.from_numpy(teacher.clip(i)).to(device) * scale
        z, aim = z[: len(aim)], aim[: len(z)]
        ours.append(codec.quantizer.encode(z[None], 1)[0, 0].cpu().numpy())
        theirs.append(codec.quantizer.encode(aim[None], 1)[0, 0].cpu().numpy())
        cosines.append(F.cosine_similarity(z, aim, dim=1).cpu().numpy())
    units, labels = np.concatenate(ours), np.concatenate(theirs)
    chance = chance_pnmi(units, labels)
    return {
        "same": float(np.mean(units == labels)),
        "pnmi": round(pnmi(contingency(units, labels)) - chance, 4),
        "cosine": float(np.concatenate(cosines).mean()),
        "used": len(np.unique(units)),
        "frames": len(units),
    }
