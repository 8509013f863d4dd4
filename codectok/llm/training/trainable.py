"""What may move in a stage, and back to a plain model when it ends."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from codectok.errors import FormatError
from codectok.llm.training.new_rows import attach_new_rows, detach_new_rows, is_attached
from codectok.llm.training.settings import TrainSettings, TrainStage

ADAPTERS = ("adapter", "projector")


def check_stage(model: Any, stage: TrainStage) -> None:
    """Check that a plain model has what a stage trains.

    Raises:
        FormatError: a stage that trains an adapter which the model does not have.
    """
    if "adapter" in stage.parts and not _adapters(model):
        raise FormatError("the stage trains an adapter, but the model has no module named adapter or projector")


def _adapters(model: Any) -> list[nn.Parameter]:
    return [p for name, p in model.named_parameters() if set(name.split(".")) & set(ADAPTERS)]


def prepare(model: Any, stage: TrainStage, settings: TrainSettings, new_ids: Tensor) -> Any:
    """Let move what the stage says, freeze the rest; returns the model, wrapped where there is LoRA.

    LoRA is peft's (Hu et al. 2021), over all linear layers but the head, its first values drawn from torch's generator.

    Raises:
        FormatError: a stage that trains an adapter which the model does not have.
    """
    model.requires_grad_("all" in stage.parts)
    moving: list[nn.Parameter] = []
    if "adapter" in stage.parts:
        check_stage(model, stage)
        moving += _adapters(model)
    if "new-rows" in stage.parts:
        moving += attach_new_rows(model, new_ids)
    if "lora" in stage.parts:
        from peft import LoraConfig, get_peft_model

        rank, alpha = settings.lora_rank, settings.lora_alpha
        config = LoraConfig(task_type="CAUSAL_LM", r=rank, lora_alpha=alpha, target_modules="all-linear")
        model = get_peft_model(model, config)
    for parameter in moving:
        parameter.requires_grad_(True)
    return model


def restore(model: Any) -> Any:
    """The plain model again: LoRA merged into its layers, rows back in their tables."""
    plain = model.get_base_model() if hasattr(model, "merge_and_unload") else model
    if is_attached(plain):
        detach_new_rows(plain)  # first: while tied tables look apart, peft's merge takes the tie flag back
    if plain is not model:
        plain = model.merge_and_unload()
    return plain.requires_grad_(False)


def moving_parameters(model: Any) -> dict[str, nn.Parameter]:
    """Those that move, by name, each once."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def new_ids(vocab: Any) -> Tensor:
    """int64 [n], the ids of a vocabulary."""
    return torch.from_numpy(vocab.id_mask).nonzero().flatten()
