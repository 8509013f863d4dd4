"""A speech encoder as a module that is trained: all of it, or low-rank updates of its linear layers."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from codectok.extras import need
from codectok.units.encoders.speech_encoder import SpeechEncoder


class TrainedEncoder(nn.Module):
    """Samples in, features out, with their gradient. Dropout and dropped layers stay off, as in :class:`SpeechEncoder`.

    Args:
        encoder: opened as ``trainable``.
        rank: of low-rank updates (LoRA, Hu et al. 2021, by peft) of its linear layers; None trains all. Of WavLM they
            are those of the feed-forward modules: its attention never calls its projections.
    """

    def __init__(self, encoder: SpeechEncoder, rank: int | None) -> None:
        super().__init__()
        self.encoder, self.model = encoder, encoder.model
        if rank is not None:
            need("low-rank updates of an encoder need", "llm", "peft")
            from peft import LoraConfig, inject_adapter_in_model

            config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=_linear_layers(self.model))
            inject_adapter_in_model(config, self.model)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """It stays in evaluation mode: layers that are left out at random could not be tapped."""
        return super().train(False)

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features of each clip as if alone.

        Args:
            samples: float32 [B, S] at 16 kHz, padded.
            lengths: int64 [B], samples of each.

        Returns:
            Features [B, T, D], 0 at padding, and int64 [B], frames of each.
        """
        rows = zip(samples, lengths.tolist(), strict=True)
        found = [self.encoder.learning_features(row[:n].cpu().numpy()) for row, n in rows]
        counts = torch.tensor([len(one) for one in found], device=samples.device)
        return pad_sequence(found, batch_first=True), counts


def _linear_layers(model: nn.Module) -> list[str]:
    """Names of the linear layers that are called; WavLM's attention hands the weights of its own to a function."""
    silent = [n for n, m in model.named_modules() if type(m).__name__.startswith("WavLMAttention")]
    every = [n for n, m in model.named_modules() if isinstance(m, nn.Linear)]
    return [n for n in every if n.rpartition(".")[0] not in silent]
