"""From what an input says of a clip to what it should say of the clean one: frames to frames, all at once.

A front end, an encoder (Conformer or CRDNN, as in DASB), and a head a target. Discrete inputs: logits of each codebook,
cross-entropy, the most likely code. Features: regression to the target's, each dimension scaled to mean 0 and variance
1 over the training targets. Several targets have no order: the loss is that of the best assignment of outputs to
targets, clip by clip (permutation-invariant training, Yu et al. 2017; Kolbaek et al. 2017).

Beside the encoder runs a skip connection, so that an untrained probe gives back its input and a short training can only
tell what to change: features are added to, and the logit of the input's own code is raised by a learned value. DASB's
probes have none: the option ``skip`` of the tasks leaves it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import permutations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..contract import Example, InputInfo
from . import ProbeOptions, build_encoder, frame_size
from .frontend import Frontend, collate, length_mask


class Restorer(nn.Module):
    """The model of the module's docstring.

    Args:
        name: of the encoder.
        info: of the input.
        targets: streams to give back.
        options: of the probe.
        vectors: code vectors to start the embedding from, or None.
        moments: mean and standard deviation of the target features [D] each, for inputs that are not discrete.
        skip: whether the input is passed by the encoder, too.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        name: str,
        info: InputInfo,
        targets: int,
        options: ProbeOptions,
        vectors: Sequence[Tensor] | None = None,
        moments: tuple[Tensor, Tensor] | None = None,
        skip: bool = True,
    ) -> None:
        super().__init__()
        dim = frame_size(name, options)
        self.info, self.targets, self.discrete = info, targets, info.kind == "discrete"
        self.frontend = Frontend(info, dim, vectors)
        self.encoder = build_encoder(name, dim, options)
        width = sum(info.codebook_sizes) if self.discrete else info.dim
        self.heads = nn.ModuleList(nn.Linear(self.encoder.out_dim, width) for _ in range(targets))
        # At first the input's own code is as likely as all others together.
        self.gains = nn.Parameter(torch.tensor(info.codebook_sizes, dtype=torch.float32).log()) if skip else None
        if skip and targets == 1:  # several equal outputs would learn alike: theirs start apart
            for parameter in self.heads.parameters():
                nn.init.zeros_(parameter)
        mean, scale = moments or (torch.zeros(info.dim), torch.ones(info.dim))
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale.clamp_min(1e-5))

    def forward(self, x: Tensor, lengths: Tensor) -> list[Tensor]:
        """A batch as ``collate`` makes it -> a target logits [B, T, sum of sizes] or scaled features [B, T, D]."""
        encoded = self.encoder(self.frontend(x, lengths), lengths)
        passed = 0.0 if self.gains is None else self._passed(x, self.gains)
        return [head(encoded) + passed for head in self.heads]

    def _passed(self, x: Tensor, gains: Tensor) -> Tensor:
        """The skip connection, in the shape of an output."""
        if not self.discrete:
            return (x - self.mean) / self.scale
        sizes = self.info.codebook_sizes
        return torch.cat([g * F.one_hot(x[:, k], n) for k, (g, n) in enumerate(zip(gains, sizes, strict=True))], 2)

    def loss(self, examples: Sequence[Example]) -> Tensor:
        """Mean over clips of the loss at the best assignment of outputs to targets."""
        device = self.mean.device
        x, lengths = collate(examples, device)
        outputs = self(x, lengths)
        found = []
        for j in range(self.targets):
            y, y_lengths = collate([Example(e.clip, e.y[j]) for e in examples], device)
            found.append([self._clip_losses(o, y, torch.minimum(lengths, y_lengths)) for o in outputs])
        orders = permutations(range(self.targets))
        each = torch.stack([sum((found[j][i] for j, i in enumerate(o)), torch.zeros(())) for o in orders])
        return each.min(0).values.mean() / self.targets

    def _clip_losses(self, output: Tensor, y: Tensor, lengths: Tensor) -> Tensor:
        """Of each clip, float [B]: the mean over frames and codebooks, or dimensions."""
        frames = min(output.shape[1], y.shape[-1] if self.discrete else y.shape[1])
        output, mask = output[:, :frames], length_mask(lengths, frames)
        if self.discrete:
            parts = output.split(list(self.info.codebook_sizes), 2)
            losses = [F.cross_entropy(p.mT, y[:, k, :frames], reduction="none") for k, p in enumerate(parts)]
            each = torch.stack(losses).mean(0)
        else:
            each = ((y[:, :frames] - self.mean) / self.scale - output).square().mean(2)
        return (each * mask).sum(1) / lengths.clamp_min(1)

    @torch.no_grad()
    def restore(self, examples: Sequence[Example]) -> list[tuple[Tensor, ...]]:
        """For each clip and target what the input's decoder takes: codes int64 [K, T] or features float32 [T, D]."""
        x, lengths = collate(examples, self.mean.device)
        outputs = [self._values(o).cpu() for o in self(x, lengths)]
        return [
            tuple(o[i, :, :n] if self.discrete else o[i, :n] for o in outputs) for i, n in enumerate(lengths.tolist())
        ]

    def _values(self, output: Tensor) -> Tensor:
        if not self.discrete:
            return output * self.scale + self.mean
        return torch.stack([p.argmax(2) for p in output.split(list(self.info.codebook_sizes), 2)], 1)


def moments_of(features: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each dimension over all frames of float [T, D] each."""
    frames = torch.cat(list(features)).double()
    return frames.mean(0).float(), frames.std(0, correction=0).float()
