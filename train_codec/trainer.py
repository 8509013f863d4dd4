"""The training loop of the MDCT codec: reconstruction losses, EMA codebooks, exact resume."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codectok.codec.folder import save_codec
from codectok.codec.mdct_codec import MdctCodec
from codectok.errors import CodectokError, FormatError
from train_codec.allocator import keep_buffers
from train_codec.data import ClipArray, crops, list_clips, load_clips
from train_codec.losses import SpectralLosses, waveform_loss
from train_codec.recipe import Recipe


def learning_rate(recipe: Recipe, step: int) -> float:
    """Warm-up, constant, then a cosine fall over the last ``decay_share`` of the steps."""
    warm = min(1.0, (step + 1) / max(1, recipe.warmup_steps))
    start = recipe.steps * (1 - recipe.decay_share)
    done = min(1.0, max(0.0, (step - start) / max(1.0, recipe.steps - start)))
    return recipe.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


class Trainer:
    """One run: model, averaged model, optimizer and position, all in one checkpoint."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        torch.set_num_threads(recipe.threads)
        torch.set_flush_denormal(True)
        keep_buffers()
        torch.manual_seed(recipe.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = MdctCodec(recipe.codec).to(self.device)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.losses = SpectralLosses(recipe.codec.sample_rate, recipe.windows).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=recipe.learning_rate, betas=(0.8, 0.99), weight_decay=1e-2, fused=True
        )
        self.step = 0
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.out = Path(recipe.out)
        frame = self.model.frame_size
        self.crop = max(1, round(recipe.crop_seconds * recipe.codec.sample_rate / frame)) * frame

    # -- data -----------------------------------------------------------------------------------------------------

    def clips(self, use: str) -> ClipArray:
        """The clips marked ``use`` in the recipe's splits."""
        root = Path(self.recipe.data)
        paths = list_clips(root, Path(self.recipe.splits), use)
        return load_clips(root, paths, Path(self.recipe.cache), self.recipe.codec.sample_rate)

    # -- one step -------------------------------------------------------------------------------------------------

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bf16)

    def encode(self, x: Tensor) -> Tensor:
        """Latents float32 [B, T, D] of samples [B, S]."""
        with self._autocast():
            return self.model.encoder.step(x, None)[0].float()

    def depths(self) -> Tensor:
        """Levels per item [B]: all for a share of the batch, otherwise log-uniform, so that few levels are common."""
        top = len(self.recipe.codec.codebook_sizes)
        rng = np.random.default_rng((self.recipe.seed, self.step, 1))
        drawn = np.exp(rng.uniform(0, math.log(top), self.recipe.batch)).round().astype(np.int64)
        full = rng.random(self.recipe.batch) < self.recipe.full_depth_share
        return torch.from_numpy(np.where(full, top, drawn)).to(self.device)

    def train_step(self, x: Tensor) -> dict[str, float]:
        """One update; returns the losses."""
        recipe = self.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, self.step)
        latents = self.encode(x)
        commitment = x.new_zeros(())
        revived = 0
        if self.step >= recipe.quantize_from:
            if self.step % 20 == 0:
                revived = sum(self.model.quantizer.revive(latents.detach(), 0.05, self.generator))
            output = self.model.quantizer(latents, self.depths(), recipe.codebook_decay)
            latents, commitment = output.quantized, output.commitment.sum()
        with self._autocast():
            predicted, _ = self.model.decoder.step(latents, None)
        predicted = predicted.float()
        target = x[:, : predicted.shape[1]]
        rng = np.random.default_rng((recipe.seed, self.step, 2))
        which = [int(n) for n in rng.choice(recipe.windows, recipe.windows_per_step, replace=False)]
        terms = self.losses(predicted, target, which)
        terms["waveform"] = waveform_loss(predicted, target)
        terms["commitment"] = commitment
        loss = (
            recipe.mel_weight * terms["mel"]
            + recipe.complex_weight * terms["complex"]
            + recipe.waveform_weight * terms["waveform"]
            + recipe.commitment_weight * terms["commitment"]
        )
        if not torch.isfinite(loss):
            bad = [k for k, v in terms.items() if not torch.isfinite(v)]
            raise CodectokError(f"step {self.step}: loss term {', '.join(bad)} is not finite; lower learning_rate")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self._update_average()
        self.step += 1
        values = {k: float(v.detach()) for k, v in terms.items()}
        return values | {"loss": float(loss.detach()), "grad": float(norm), "revived": revived}

    @torch.no_grad()
    def _update_average(self) -> None:
        weight = 1 - min(self.recipe.ema_decay, (self.step + 1) / (self.step + 10))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), weight)

    @torch.no_grad()
    def start_codebooks(self, clips: ClipArray) -> None:
        """k-means of every level on real latents of fresh crops."""
        top = max(self.recipe.codec.codebook_sizes)
        latents, n, frames = [], 0, 0
        while frames < 32 * top:
            batch = crops(clips, n, self.recipe.seed + 1, self.recipe.batch, self.crop).to(self.device)
            z = self.encode(batch).flatten(0, 1)
            latents.append(z)
            frames, n = frames + len(z), n + 1
        self.model.quantizer.fit(torch.cat(latents), seed=self.recipe.seed)

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs."""
        training = {
            name: buffer for name, buffer in self.model.quantizer.named_buffers() if name.endswith(("sums", "counts"))
        }
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "codebooks": training,
            "average": dict(self.average.named_parameters()),  # its codebooks are the model's, see released()
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "recipe": asdict(self.recipe),
        }

    def save(self) -> None:
        """Write ``checkpoint.pt`` whole or not at all."""
        self.out.mkdir(parents=True, exist_ok=True)
        temporary = self.out / "checkpoint.pt.tmp"
        torch.save(self.state(), temporary)
        with open(temporary, "rb") as f:
            os.fsync(f.fileno())
        temporary.rename(self.out / "checkpoint.pt")

    def load(self) -> bool:
        """Resume from ``checkpoint.pt`` if there is one.

        Raises:
            FormatError: it is a run of another codec.
        """
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        now, before = asdict(self.recipe.codec), state["recipe"]["codec"]
        changed = [f"{k} {before.get(k)} is now {v}" for k, v in now.items() if before.get(k) != v]
        if changed:
            raise FormatError(f"{path} is a run of another codec ({', '.join(changed)}): choose another out=")
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"], strict=False)
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        buffers = dict(self.model.quantizer.named_buffers())
        for name, value in state["codebooks"].items():
            buffers[name].copy_(value)
        return True

    # -- the loop -------------------------------------------------------------------------------------------------

    def released(self) -> MdctCodec:
        """The averaged networks with the current codebooks."""
        self.average.quantizer.load_state_dict(self.model.quantizer.state_dict())
        return self.average.eval()

    def export(self) -> Path:
        """Write the averaged model as a model folder in float16; returns the folder."""
        folder = self.out / "model"
        save_codec(self.released(), folder, torch.float16)
        return folder

    def log(self, row: dict[str, Any]) -> None:
        """Append one row to ``log.jsonl``."""
        self.out.mkdir(parents=True, exist_ok=True)
        with open(self.out / "log.jsonl", "a") as f:
            f.write(json.dumps(row) + "\n")

    def run(self, until: int | None = None) -> None:
        """Train to ``steps`` (or stop at step ``until``), resuming if the run folder holds a checkpoint."""
        from train_codec.validate import validate

        recipe = self.recipe
        stop = recipe.steps if until is None else min(until, recipe.steps)
        resumed = self.load()
        verb = "resuming" if resumed else "starting"
        print(f"{verb} at step {self.step} of {recipe.steps} in {self.out}", flush=True)
        clips = self.clips("fit")
        val = self.clips("val")
        began, since = time.monotonic(), self.step
        sums: dict[str, float] = {}
        summed = 0
        while self.step < stop:
            if self.step == recipe.quantize_from:
                self.start_codebooks(clips)
            x = crops(clips, self.step, recipe.seed, recipe.batch, self.crop).to(self.device)
            for key, value in self.train_step(x).items():
                sums[key] = sums.get(key, 0.0) + value
            summed += 1
            if self.step % 100 == 0:
                speed = (self.step - since) / (time.monotonic() - began)
                row = {k: round(v / summed, 5) for k, v in sums.items()}
                left = (recipe.steps - self.step) / speed / 60
                self.log({"step": self.step, **row, "steps_per_second": round(speed, 3)})
                text = "  ".join(f"{k} {v:.4g}" for k, v in row.items())
                print(f"{self.step}/{recipe.steps}  {text}  {speed:.2f} steps/s  {left:.0f} min left", flush=True)
                sums, summed = {}, 0
            if self.step % recipe.checkpoint_every == 0 or self.step == stop:
                self.save()
            if self.step % recipe.validate_every == 0 or self.step == recipe.steps:
                table = validate(self.released(), val, recipe.val_clips)
                self.log({"step": self.step, "val": table})
                print(f"{self.step}  val  {json.dumps(table)}", flush=True)
