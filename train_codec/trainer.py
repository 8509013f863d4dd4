"""One training run: an update is a pure function of the checkpoint and the step, on one process or several."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import set_seed
from torch import Tensor

from codectok import registry
from codectok.codec.folder import save_codec
from codectok.codec.model import CodecModel
from codectok.errors import AudioError, CodectokError, FormatError
from train_codec.adversarial import AdversarialStep
from train_codec.allocator import keep_buffers
from train_codec.augment import Augmenter
from train_codec.checkpoint import (
    check_run,
    random_state,
    read_checkpoint,
    set_random_state,
    stays,
    write_checkpoint,
)
from train_codec.data import ClipArray, CropBatch, draw, open_clips
from train_codec.discriminators import build_discriminators
from train_codec.distill import TeacherCache, TeacherSpec
from train_codec.generator import Generator, GeneratorOutput
from train_codec.losses.balancer import Balancer
from train_codec.objective import Objective
from train_codec.recipe import Recipe
from train_codec.schedule import RecipeStage, channel_noise, depths, learning_rate_share, stage_of, starts
from train_codec.start import freeze, load_weights


class Trainer:
    """One run: networks, averaged networks, optimizers, codebooks and position, all in one checkpoint."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.step, self.saved = recipe, 0, 0
        ddp = DistributedDataParallelKwargs(broadcast_buffers=False, find_unused_parameters=True)
        self.accelerator = Accelerator(
            cpu=not torch.cuda.is_available(),
            mixed_precision="bf16" if recipe.run.bf16 else "no",
            kwargs_handlers=[ddp],
        )
        self.device = self.accelerator.device
        self.rank, self.world = self.accelerator.process_index, self.accelerator.num_processes
        torch.set_num_threads(recipe.run.threads)
        torch.set_flush_denormal(True)
        keep_buffers()
        set_seed(recipe.run.seed)
        self.out = Path(recipe.run.out)

        codec: CodecModel = registry.find("codecs", f"{recipe.codec}-codec")(recipe.config)
        load_weights(codec, recipe.run.start_from)
        self.frozen = freeze(codec, recipe.run.freeze)
        self.crop = max(1, round(recipe.data.crop_seconds * codec.sample_rate / codec.frame_size)) * codec.frame_size
        self.augmenter = Augmenter.open(recipe.augment, codec.sample_rate, recipe.data.cache)
        self.clips_fit: ClipArray | None = None
        self.teacher: TeacherCache | None = None
        width = self._open_teacher() if recipe.distill.teacher else 0
        set_seed(recipe.run.seed)  # opening a teacher draws numbers, or not, depending on its cache
        with_pitch = recipe.loss.pitch_weight > 0
        q = recipe.quantizer
        noise = (q.noise_rate, q.noise_weight) if q.noise_rate else None
        generator = Generator(codec, width, recipe.distill.distill_kind, with_pitch, noise).to(self.device)
        self.stage: RecipeStage | None = None
        self.codec = generator.codec
        self.average = copy.deepcopy(self.codec).requires_grad_(False)
        self.objective = Objective(recipe, codec.sample_rate, len(codec.codebook_sizes)).to(self.device)
        self.balancer = Balancer(self.objective.waveform_weights) if recipe.loss.balancer else None
        s = recipe.optimizer
        free, betas = [p for p in generator.parameters() if p.requires_grad], (s.beta1, s.beta2)
        optimizer = torch.optim.AdamW(free, s.learning_rate, betas, weight_decay=s.weight_decay, fused=True)
        self.generator, self.optimizer = self.accelerator.prepare(generator, optimizer)
        self.adversary: AdversarialStep | None = None
        if recipe.adversarial.discriminators:
            discriminator = build_discriminators(recipe.adversarial.discriminators, codec.sample_rate)
            self.discriminator, self.discriminator_optimizer = self.accelerator.prepare(
                discriminator.to(self.device),
                torch.optim.AdamW(
                    discriminator.parameters(), recipe.adversarial.discriminator_learning_rate, (s.beta1, s.beta2)
                ),
            )
            self.adversary = AdversarialStep(self.discriminator, recipe.adversarial.adversarial_kind)
        self.revival = torch.Generator().manual_seed(recipe.run.seed)

    # -- data -----------------------------------------------------------------------------------------------------

    def clips(self, use: str) -> ClipArray:
        """The part ``fit`` or ``val`` of the recipe's audio."""
        d, sample_rate = self.recipe.data, self.recipe.config.sample_rate
        if d.splits and not Path(d.data).is_dir():
            raise AudioError(f"data={d.data} is no folder: give the one that the paths in splits={d.splits} start from")
        return open_clips(d.data, use, d.cache, sample_rate, splits=d.splits, val_share=d.val_share)

    def _open_teacher(self) -> int:
        d = self.recipe.distill
        self.clips_fit = self.clips("fit")
        spec = TeacherSpec(d.teacher, d.teacher_dtype, d.teacher_tail_seconds or None, str(self.device))
        with self.accelerator.main_process_first():  # it makes the cache, the others find it made
            self.teacher = TeacherCache.open_or_make(
                self.clips_fit, spec, Path(self.recipe.data.cache) / "teacher", d.teacher_layer, d.teacher_dim or None
            )
        return self.teacher.dim

    def batch(self, clips: ClipArray, step: int, seed_shift: int = 0) -> CropBatch:
        """This process's crops of a step."""
        d = self.recipe.data
        seed = self.recipe.run.seed + seed_shift
        crops = draw(
            clips, step, seed, d.batch, self.crop, self.codec.frame_size,
            rank=self.rank, world=self.world, augment=self.augmenter,
        )  # fmt: skip
        return crops.to(self.device)

    def own(self, joint: Tensor) -> Tensor:
        """This process's rows of what is drawn for all of them, [batch, ...]."""
        share = self.recipe.data.batch // self.world
        return joint[self.rank * share : (self.rank + 1) * share].to(self.device)

    def _targets(self, batch: CropBatch) -> tuple[Tensor, Tensor] | None:
        if self.teacher is None:
            return None
        frame = self.codec.frame_size
        targets, mask = self.teacher.targets(batch.clip, batch.start, self.crop // frame, frame)
        mask &= batch.aligned.cpu()[:, None]
        return targets.to(self.device), mask.to(self.device)

    # -- one step -------------------------------------------------------------------------------------------------

    def train_step(self, batch: CropBatch) -> tuple[dict[str, float], GeneratorOutput]:
        """One update; returns the losses and what the pass gave.

        Raises:
            CodectokError: a loss is not finite, with its name.
        """
        recipe = self.recipe
        share = learning_rate_share(recipe, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.optimizer.learning_rate * share
        stage = self.enter_stage()
        noise, own_depths = self._noise(stage), None
        if stage is RecipeStage.CODES or noise is not None:
            own_depths = self.own(depths(recipe, self.step, len(self.codec.codebook_sizes)))
        every = 0 if "quantizer" in self.frozen else recipe.quantizer.revive_every
        revive = (recipe.quantizer.revive_below, self.revival) if every and self.step % every == 0 else None
        with self.accelerator.autocast():
            output: GeneratorOutput = self.generator(
                batch.audio,
                own_depths,
                None if "quantizer" in self.frozen else recipe.quantizer.codebook_decay,
                self.own(starts(recipe, self.step)),
                self._targets(batch),
                revive,
                noise,
                stage is RecipeStage.FIRST,
            )
        target = batch.audio[:, : output.predicted.shape[1]]
        values: dict[str, float] = {}
        losses: dict[str, Tensor] = {}
        if stage is not RecipeStage.FIRST:
            values = self._discriminate(output.predicted, target, share)
            losses = self.objective.waveform_terms(output.predicted, target, self.step, own_depths)
            losses |= self._adversarial_terms(output.predicted, target)
        inner = self.objective.inner_terms(output)
        values |= self._reduced({**losses, **inner})
        self.optimizer.zero_grad(set_to_none=True)
        self._backward(losses, inner, output.predicted)
        norm = self.accelerator.clip_grad_norm_(self.generator.parameters(), recipe.optimizer.clip_norm)
        self.optimizer.step()
        self._update_average()
        self.step += 1
        return values | {"gradient": float(norm)}, output

    def enter_stage(self) -> RecipeStage:
        """The stage of the next step; what has been fitted or trained before it stays as it is from then on."""
        stage = stage_of(self.recipe, self.step)
        if stage is not self.stage:
            self.stage = stage
            children = dict(self.codec.named_children())
            if stage is not RecipeStage.FIRST and self.recipe.distill.first_steps:
                children["semantic"].requires_grad_(False)
            if stage is RecipeStage.CODES and self.recipe.quantizer.keep_codes:
                for name, part in children.items():
                    part.requires_grad_(name == "decoder")
                self.frozen |= children.keys() - {"decoder"}
        return stage

    def _noise(self, stage: RecipeStage) -> Tensor | None:
        if stage is not RecipeStage.LATENTS or not self.recipe.quantizer.noise_rate:
            return None
        dim = len(range(self.codec.latent_dim)[self.codec.learned])
        return self.own(channel_noise(self.recipe, self.step, self.crop // self.codec.frame_size, dim))

    def _backward(self, losses: dict[str, Tensor], inner: dict[str, Tensor], predicted: Tensor) -> None:
        weights = self.objective.waveform_weights
        extra = sum((self.objective.inner_weights[k] * v for k, v in inner.items()), predicted.new_zeros(()))
        if self.balancer is not None and losses:
            self.balancer.backward(losses, predicted, extra)
        else:
            self.accelerator.backward(sum((weights[k] * v for k, v in losses.items()), extra))

    def _heard(self, audio: Tensor) -> Tensor:
        items = self.recipe.adversarial.adversarial_items
        return audio[:items] if items else audio

    def _adversarial_now(self) -> bool:
        return self.adversary is not None and self.step >= self.recipe.adversarial.adversarial_from

    def _discriminate(self, predicted: Tensor, target: Tensor, share: float) -> dict[str, float]:
        """Update the discriminators on this step's audio."""
        if not self._adversarial_now():
            return {}
        assert self.adversary is not None
        for group in self.discriminator_optimizer.param_groups:
            group["lr"] = self.recipe.adversarial.discriminator_learning_rate * share
        with self.accelerator.autocast():
            loss = self.adversary.discriminator_loss(self._heard(target), self._heard(predicted.detach()))
        value = self._reduced({"discriminator": loss})
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.discriminator.parameters(), self.recipe.optimizer.clip_norm)
        self.discriminator_optimizer.step()
        return value

    def _adversarial_terms(self, predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
        if not self._adversarial_now():
            return {}
        assert self.adversary is not None
        with self.accelerator.autocast():
            terms = self.adversary.generator_losses(self._heard(target), self._heard(predicted))
        return {k: v for k, v in terms.items() if k in self.objective.waveform_weights}

    def _reduced(self, terms: dict[str, Tensor]) -> dict[str, float]:
        """Means over the processes, as numbers; every process stops alike on one that is not finite."""
        if not terms:
            return {}
        joint = self.accelerator.reduce(torch.stack([v.detach().float() for v in terms.values()]), "mean")
        values = dict(zip(terms, joint.tolist(), strict=True))
        if bad := [k for k, v in zip(values, joint.isfinite().tolist(), strict=True) if not v]:
            raise CodectokError(
                f"step {self.step}: loss {', '.join(bad)} is not finite: go on from the last checkpoint with a lower"
                " learning_rate"
            )
        return values

    @torch.no_grad()
    def _update_average(self) -> None:
        weight = 1 - min(self.recipe.optimizer.ema_decay, (self.step + 1) / (self.step + 10))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.codec.parameters()), weight)

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs."""
        state: dict[str, Any] = {
            "step": self.step,
            "recipe": self.recipe.flat(),
            "generator": self.accelerator.unwrap_model(self.generator).state_dict(),
            "codebooks": {n: b for n, b in self.codec.named_buffers() if n.endswith((".sums", ".counts"))},
            "average": dict(self.average.named_parameters()),  # its codebooks are the codec's, see released()
            "optimizer": self.optimizer.optimizer.state_dict(),
            "revival": self.revival.get_state(),
            "random": random_state(),
            "audio": self.clips_fit.fingerprint if self.clips_fit is not None else "",
        }
        if self.balancer is not None:
            state["balancer"] = self.balancer.state_dict()
        if self.adversary is not None:
            state["discriminator"] = self.accelerator.unwrap_model(self.discriminator).state_dict()
            state["discriminator_optimizer"] = self.discriminator_optimizer.optimizer.state_dict()
        return state

    def save(self) -> None:
        """Write ``checkpoint.pt`` whole or not at all (the main process; what it holds is the same in all)."""
        if self.accelerator.is_main_process:
            write_checkpoint(self.out / "checkpoint.pt", self.state())
            self.saved = self.step
        self.accelerator.wait_for_everyone()

    def load(self) -> bool:
        """Resume from ``checkpoint.pt`` if there is one.

        Raises:
            FormatError: it is a run of another codec, of other parts or of other audio.
        """
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return False
        state = read_checkpoint(path, self.device)
        audio = None if self.clips_fit is None else self.clips_fit.fingerprint
        check_run(path, state, self.recipe, audio)
        self.step = self.saved = state["step"]
        self.accelerator.unwrap_model(self.generator).load_state_dict(state["generator"])
        self.average.load_state_dict(state["average"], strict=False)
        self.optimizer.optimizer.load_state_dict(state["optimizer"])
        self.revival.set_state(state["revival"].cpu())
        buffers = dict(self.codec.named_buffers())
        for name, value in state["codebooks"].items():
            buffers[name].copy_(value)
        if self.balancer is not None:
            self.balancer.load_state_dict(state["balancer"])
        if self.adversary is not None:
            if "discriminator" in state:
                self.accelerator.unwrap_model(self.discriminator).load_state_dict(state["discriminator"])
                self.discriminator_optimizer.optimizer.load_state_dict(state["discriminator_optimizer"])
            elif self.step > self.recipe.adversarial.adversarial_from:
                raise FormatError(f"{path} holds no discriminator: set adversarial_from to {self.step} or later")
        set_random_state(state["random"])
        return True

    # -- what comes out ------------------------------------------------------------------------------------------

    def released(self) -> CodecModel:
        """The averaged networks with the current codebooks."""
        buffers = dict(self.codec.named_buffers())
        for name, buffer in self.average.named_buffers():
            buffer.copy_(buffers[name])
        return self.average.eval()

    @torch.no_grad()
    def adopt_average(self) -> None:
        """Go on from the averaged networks: what stays as it is from here on is the best there is."""
        averages = dict(self.average.named_parameters())
        for name, parameter in self.codec.named_parameters():
            parameter.copy_(averages[name])

    def usable_codebooks(self) -> int:
        """Codebooks that mean something by now: they are fitted at the begin of the step that needs them."""
        if self.step > self.recipe.quantizer.quantize_from or self.recipe.run.start_from:
            return len(self.codec.codebook_sizes)
        return self.codec.fixed_codebooks if self.step > self.recipe.distill.first_steps else 0

    def export(self) -> Path:
        """Write the averaged model as a model folder in float16; returns the folder."""
        folder = self.out / "model"
        if self.accelerator.is_main_process:
            save_codec(self.released(), folder, torch.float16)
        return folder

    def kept(self) -> str:
        """What a stop leaves."""
        return stays(self.out / "checkpoint.pt", self.saved)
