"""EnCodec's gradient balancer (Défossez et al. 2022, section 3.4)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor

from codectok.errors import CodectokError, FormatError


class Balancer:
    """Makes a weight the share of the gradient that a loss gets, whatever the loss's own scale.

    With g_i the gradient of loss i with respect to the predicted waveform and <|g_i|> a moving average of its norm, the
    model receives the sum of ``total_norm * w_i / sum(w) * g_i / <|g_i|>``.

    * Norm: ``per_item`` (EnCodec's default) adds up the norms of the items. As losses are means over the batch, this
      is the mean norm of an item's own gradient, and does not change with the batch size. (EnCodec's code averages
      instead: its ``total_norm`` is to be multiplied by the batch size here.) Otherwise it is the joint norm over the
      whole batch, in which loud items outweigh quiet ones.
    * Absent losses: sum(w) runs over all declared weights, so a loss that is absent on a step (a discriminator not yet
      started, or updated every other step) leaves the gradient of the others exactly as it is, and its own average
      is untouched. A norm of exactly 0 (a saturated hinge) counts as absent.
    * Several processes: norms are reduced over all of them, so each applies the scales of the joint batch.

    ``decay`` is the moving average's, with bias correction, so the first step is balanced too.

    Raises:
        CodectokError: no weights, a negative weight, or a sum of 0.
    """

    def __init__(
        self, weights: Mapping[str, float], total_norm: float = 1.0, decay: float = 0.999, per_item: bool = True
    ) -> None:
        if not weights or min(weights.values()) < 0 or sum(weights.values()) <= 0:
            raise CodectokError(f"loss weights {dict(weights)}: give at least one above 0 and none below")
        self.weights = {k: float(v) for k, v in weights.items()}
        self.total_norm, self.decay, self.per_item = total_norm, decay, per_item
        self._sums = dict.fromkeys(self.weights, 0.0)
        self._counts = dict.fromkeys(self.weights, 0.0)

    def backward(
        self,
        losses: Mapping[str, Tensor],
        predicted: Tensor,
        extra: Tensor | None = None,
        scale: float = 1.0,
        scaler: torch.amp.GradScaler | None = None,
    ) -> dict[str, float]:
        """One backward pass through the model; returns the norms of this step (of all processes), by name.

        Args:
            losses: scalars, means over the batch, that reach the model through ``predicted`` alone.
            predicted: the model's output [B, ...], part of its graph.
            extra: a weighted scalar that does not go through the waveform (commitment, distillation). It joins the
                same pass, so that DistributedDataParallel sees one backward.
            scale: factor on the whole gradient, ``extra`` included: 1/n when accumulating over n batches.
            scaler: for float16. Balancing happens on unscaled gradients; the model's are scaled, so go on with
                ``scaler.unscale_(optimizer)``, clip, ``scaler.step``, ``scaler.update``. A scaled gradient that
                overflows is handed on (the scaler then skips the step) but never enters the averages.

        Raises:
            CodectokError: an unknown loss, one that does not depend on ``predicted``, one present on some processes
                only, or (with its name) a gradient that is not finite.
        """
        if not losses or (unknown := [k for k in losses if k not in self.weights]):
            what = f"no weight for loss {', '.join(unknown)}" if losses else "no loss to balance"
            raise CodectokError(f"{what}: this balancer has weights for {', '.join(self.weights)}")
        if scaler is not None and not scaler.is_enabled():
            scaler = None
        factor = predicted.new_ones((), dtype=torch.float32)
        factor = factor if scaler is None else scaler.scale(factor)
        grads = self._gradients(losses, predicted, factor)
        norms, overflow = self._norms(losses, grads, tolerate_overflow=scaler is not None)
        if not overflow:
            self._update(norms)
        combined = torch.zeros_like(predicted, dtype=torch.float32)
        for name, grad in grads.items():
            combined += grad if overflow else grad * self.scale(name)
        roots, gradients = [predicted], [(combined * (scale * factor)).to(predicted.dtype)]
        if extra is not None and extra.requires_grad:
            roots.append(extra)
            gradients.append((torch.ones_like(extra, dtype=torch.float32) * (scale * factor)).to(extra.dtype))
        torch.autograd.backward(roots, gradients)
        return norms

    def scale(self, name: str) -> float:
        """Factor now applied to the gradient of loss ``name``; 0 before its first gradient."""
        if self._counts[name] == 0:
            return 0.0
        share = self.weights[name] / sum(self.weights.values())
        return self.total_norm * share * self._counts[name] / self._sums[name]

    def _gradients(self, losses: Mapping[str, Tensor], predicted: Tensor, factor: Tensor) -> dict[str, Tensor]:
        """Gradient of each loss with respect to ``predicted``, float32; ``factor`` is in force only on the way."""
        if not predicted.requires_grad:
            raise CodectokError("the predicted waveform carries no gradient: pass the model's output, not detached")
        grads = {}
        names = [k for k in self.weights if k in losses]
        for name in names:
            # Losses may share a graph (spectra, a discriminator's features); the last to use it frees it.
            keep = name != names[-1]
            if losses[name].requires_grad:
                (grad,) = torch.autograd.grad(losses[name] * factor, predicted, retain_graph=keep, allow_unused=True)
            else:
                grad = None
            if grad is None:
                raise CodectokError(f"loss {name} does not depend on the predicted waveform: pass it as extra")
            grads[name] = grad.float() / factor
        return grads

    def _norms(
        self, losses: Mapping[str, Tensor], grads: Mapping[str, Tensor], tolerate_overflow: bool
    ) -> tuple[dict[str, float], bool]:
        """Norms over all processes by name, and whether a scaled gradient overflowed; raises alike on all of them."""
        rows = []
        for name in self.weights:
            if name not in grads:
                rows.append(torch.zeros(3, device=next(iter(grads.values())).device))
                continue
            items = grads[name].flatten(1).norm(dim=1) if grads[name].ndim > 1 else grads[name].abs()
            norm = items.sum() if self.per_item else items.square().sum()
            rows.append(torch.stack([norm, torch.ones_like(norm), losses[name].detach().isfinite().to(norm.dtype)]))
        table, world = torch.stack(rows), 1
        if dist.is_available() and dist.is_initialized():
            # Every process has a row for every declared loss, so the sizes agree even where the losses do not.
            world = dist.get_world_size()
            dist.all_reduce(table)
        norms: dict[str, float] = {}
        split, bad, overflow = [], [], False
        for name, (total, present, finite) in zip(self.weights, table.tolist(), strict=True):
            if 0 < present < world:
                split.append(name)
            if present:
                # A process's losses are means over its own part of the batch: `world` times the joint gradient.
                norms[name] = (total if self.per_item else math.sqrt(total)) / world
            if present and not math.isfinite(total):
                overflow = True
                if finite < world or not tolerate_overflow:
                    bad.append(name)
        if split:
            raise CodectokError(f"loss {', '.join(split)} is present on some processes only: compute it on all or none")
        if bad:
            raise CodectokError(f"gradient of loss {', '.join(bad)} is not finite: lower the learning rate")
        return norms, overflow

    def _update(self, norms: Mapping[str, float]) -> None:
        for name, norm in norms.items():
            if norm > 0:
                self._sums[name] = self._sums[name] * self.decay + norm
                self._counts[name] = self._counts[name] * self.decay + 1

    def state_dict(self) -> dict[str, dict[str, float]]:
        """The moving averages, plain floats."""
        return {"sums": dict(self._sums), "counts": dict(self._counts)}

    def load_state_dict(self, state: Mapping[str, Mapping[str, float]]) -> None:
        """Go on from `state_dict`.

        Raises:
            FormatError: it is the state of a balancer of other losses.
        """
        if set(state) != {"sums", "counts"} or any(set(v) != set(self.weights) for v in state.values()):
            raise FormatError(f"the balancer's state is not one of losses {', '.join(self.weights)}: keep their names")
        self._sums = {k: float(state["sums"][k]) for k in self.weights}
        self._counts = {k: float(state["counts"][k]) for k in self.weights}
