"""SpeechLLM: audio as soft tokens among the text embeddings of any causal language model of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from codectok.errors import CodectokError
from codectok.llm.continuous.projector import Projector
from codectok.llm.continuous.scatter import expand_placeholders, scatter_features

IGNORE = -100
"""Label that the loss leaves out."""


class SpeechLLM(nn.Module):
    """Encoder features -> projector -> soft tokens in ``inputs_embeds`` -> language model.

    The vocabulary of the model stays as it is: the placeholder need not be in its embedding table. The encoder stays
    outside, so that features can be computed once and stored.

    Args:
        llm: a causal model of transformers.
        projector: to the width of the model.
        placeholder_id: where a soft token belongs; may be any number that is no token of the text.
        gain: that soft tokens are multiplied by; 1 leaves them as the projector gives them.

    Raises:
        CodectokError: a projector to another width.
    """

    def __init__(self, llm: Any, projector: Projector, placeholder_id: int, gain: float = 1.0) -> None:
        super().__init__()
        width = llm.get_input_embeddings().weight.shape[1]
        if projector.out_dim != width:
            raise CodectokError(f"the projector gives width {projector.out_dim}, the model's embeddings have {width}")
        self.llm, self.projector, self.placeholder_id, self.gain = llm, projector, placeholder_id, gain

    def counts(self, features: Tensor, lengths: Tensor | Sequence[int] | None = None) -> list[int]:
        """Soft tokens of each clip: by the projector's formula, or counted where that depends on the audio.

        Args:
            features: [N, T, D].
            lengths: [N]; None for T each.
        """
        return self.projector.lengths_of(self._placed(features), lengths).tolist()

    def prompt(self, ids: Sequence[int] | Tensor, counts: Sequence[int]) -> Tensor:
        """Ids with one placeholder a clip -> int64 [L'] with as many as the clip's soft tokens."""
        return expand_placeholders(ids, self.placeholder_id, counts)

    def embed(
        self,
        input_ids: Tensor,
        features: Tensor,
        lengths: Tensor | Sequence[int] | None = None,
        clips: Sequence[int] | None = None,
    ) -> Tensor:
        """``inputs_embeds`` [B, L, d] of a prompt with its audio; see :meth:`forward`."""
        table = self.llm.get_input_embeddings()
        # The placeholder's own row is never read: it may lie outside the table, and gets no gradient.
        text = table(input_ids.masked_fill(input_ids == self.placeholder_id, 0))
        soft, counts = self.projector(self._placed(features), lengths)
        return scatter_features(text, input_ids, self.placeholder_id, soft * self.gain, counts, clips)

    def _placed(self, features: Tensor) -> Tensor:
        """Features where, and of the type that, the projector is."""
        weight = next(self.projector.parameters())
        return features.to(weight.device, weight.dtype)

    def forward(
        self,
        input_ids: Tensor,
        features: Tensor,
        lengths: Tensor | Sequence[int] | None = None,
        labels: Tensor | None = None,
        attention_mask: Tensor | None = None,
        clips: Sequence[int] | None = None,
        **more: Any,
    ) -> Any:
        """The model's output, with ``loss`` where labels are given.

        Args:
            input_ids: int64 [B, L], placeholders expanded.
            features: [N, T, D] of all clips, in order.
            lengths: [N]; None for T each.
            labels: int64 [B, L], -100 where nothing is to be learned; always so at placeholders. Shifted inside.
            attention_mask: [B, L], 0 at padding.
            clips: clips of each item, [B]; None for one each.
            more: keywords of the model.

        Raises:
            CodectokError: an item whose placeholders are not as many as its soft tokens.
        """
        embeds = self.embed(input_ids, features, lengths, clips)
        if labels is not None:
            labels = labels.masked_fill(input_ids == self.placeholder_id, IGNORE)
        return self.llm(inputs_embeds=embeds, attention_mask=attention_mask, labels=labels, **more)

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor,
        features: Tensor,
        lengths: Tensor | Sequence[int] | None = None,
        attention_mask: Tensor | None = None,
        clips: Sequence[int] | None = None,
        **more: Any,
    ) -> Tensor:
        """New ids int64 [B, L'] alone, without the prompt; arguments as of :meth:`forward`, ``more`` of the model's.

        Raises:
            CodectokError: counts that differ, or prompts padded at the end.
        """
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        if not bool(attention_mask[:, -1].all()):
            raise CodectokError("prompts are padded at the end: pad them at the start, generation goes on from the end")
        embeds = self.embed(input_ids, features, lengths, clips)
        return self.llm.generate(inputs_embeds=embeds, attention_mask=attention_mask, **more)
