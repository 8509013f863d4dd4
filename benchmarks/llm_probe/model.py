"""A language model with audio in its prompt: the loss of a label, its likelihood, and what it writes by itself.

A sequence is (beginning), audio, cue, label, end. Everything goes in as embeddings, so that one path serves tokens and
features. Sequences are padded at the start: they end together, and only the last logits are computed.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from codectok.errors import CodectokError
from codectok.llm.continuous import Projector, batch_features

IGNORE = -100
AT_ONCE = 256
"""Names whose likelihood is computed together, over all clips of a batch."""


class SpeechReader(nn.Module):
    """Language model and projector.

    Args:
        llm: causal, of transformers; tokens of audio are rows of its tables.
        projector: of features; None for ids.
        head, cue: ids int64 [N] before and behind the audio.
        end: id of the end of a label.
        text: ids below this are text; others are never written.
        positions: longest sequence.
        sample: features [T, D] that the projector's first scale is measured on.
    """

    head: Tensor
    cue: Tensor

    def __init__(
        self,
        llm: Any,
        projector: Projector | None,
        head: Tensor,
        cue: Tensor,
        end: int,
        text: int,
        positions: int,
        sample: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.llm, self.projector = llm, projector
        self.end, self.text, self.positions = end, text, positions
        self.register_buffer("head", head, persistent=False)
        self.register_buffer("cue", cue, persistent=False)
        self.gain = 1.0
        if projector is not None and sample is not None and len(sample):
            # Soft tokens begin at the scale of the text's embeddings: else they drown it, or drown in it.
            with torch.no_grad():
                soft = projector(sample[None])[0]
                self.gain = float(self._table.weight[:text].square().mean().sqrt() / soft.square().mean().sqrt())

    @property
    def _table(self) -> Any:
        return self.llm.get_input_embeddings()

    def soft(self, heard: Sequence[Tensor]) -> list[Tensor]:
        """Audio of each clip, ids [N] or features [T, D], as embeddings [N', d]."""
        if self.projector is None:
            return list(self._table(torch.cat(list(heard)).to(self.head.device)).split([len(h) for h in heard]))
        features, lengths = batch_features(list(heard))
        soft, counts = self.projector(features.to(self.head.device), lengths.to(self.head.device))
        return [row[:n] * self.gain for row, n in zip(soft, counts.tolist(), strict=True)]

    def lengths(self, heard: Sequence[Tensor]) -> list[int]:
        """Audio tokens of each clip."""
        if self.projector is None:
            return [len(h) for h in heard]
        features, lengths = batch_features(list(heard))
        return self.projector.lengths_of(features.to(self.head.device), lengths.to(self.head.device)).tolist()

    def forward(self, heard: Sequence[Tensor], targets: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Log-likelihood of every token of the targets.

        Args:
            heard: audio of each clip.
            targets: ids int64 [n] of each clip's label, its end with it.

        Returns:
            Float32 [B, L], 0 where there is no token, and bool [B, L] where there is one; aligned at the end.

        Raises:
            CodectokError: a sequence that is longer than the model takes.
        """
        device = self.head.device
        length = max(map(len, targets))
        wanted = torch.full((len(targets), length), IGNORE)
        for row, target in zip(wanted, targets, strict=True):
            row[length - len(target) :] = target
        wanted = wanted.to(device)
        said = [self._table(target.to(device)) for target in targets]
        parts = [torch.cat([p, t]) for p, t in zip(self._prompts(heard), said, strict=True)]
        out = self.llm(**self._padded(parts), logits_to_keep=length + 1, use_cache=False)
        logits = out.logits[:, -length - 1 : -1].float()
        loss = F.cross_entropy(logits.transpose(1, 2), wanted, ignore_index=IGNORE, reduction="none")
        return -loss, wanted != IGNORE

    def loss(self, heard: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Mean cross-entropy of the tokens of the labels."""
        log, there = self(heard, targets)
        return -log.sum() / there.sum()

    @torch.no_grad()
    def likelihoods(self, heard: Sequence[Tensor], names: Sequence[Tensor]) -> Tensor:
        """Log-likelihood float32 [B, C] of each name (ids with their end) after each clip's prompt.

        The prompt is read once; its keys and values serve all names.
        """
        device, batch = self.head.device, len(heard)
        given = self._padded(self._prompts(heard))
        read = self.llm(**given, logits_to_keep=1, use_cache=True)
        first = read.logits[:, -1].float().log_softmax(-1)
        found = [first[:, [int(name[0]) for name in names]]]
        step = max(1, AT_ONCE // batch)
        rest: list[Tensor] = []
        for start in range(0, len(names), step):
            part = names[start : start + step]
            ids = pad_sequence(list(part), batch_first=True, padding_value=IGNORE).to(device)
            count, width = ids.shape
            if width == 1:
                rest.append(torch.zeros(batch, count, device=device))
                continue
            cache = copy.deepcopy(read.past_key_values)
            cache.batch_repeat_interleave(count)
            asked = ids[:, :-1].clamp_min(0).repeat(batch, 1)
            seen = torch.cat([given["attention_mask"].repeat_interleave(count, 0), torch.ones_like(asked)], 1)
            places = given["attention_mask"].sum(1).repeat_interleave(count)[:, None] + torch.arange(
                width - 1, device=device
            )
            out = self.llm(
                inputs_embeds=self._table(asked),
                attention_mask=seen,
                position_ids=places,
                past_key_values=cache,
                use_cache=True,
            )
            loss = F.cross_entropy(
                out.logits.float().transpose(1, 2),
                ids[:, 1:].repeat(batch, 1),
                ignore_index=IGNORE,
                reduction="none",
            )
            rest.append(-loss.sum(1).unflatten(0, (batch, count)))
        return found[0] + torch.cat(rest, 1)

    @torch.no_grad()
    def write(self, heard: Sequence[Tensor], limit: int) -> list[Tensor]:
        """The likeliest text token, again and again: ids int64 [n] of each clip up to its end or ``limit``."""
        from transformers import GenerationConfig

        rows = len(self._table.weight)
        config = GenerationConfig(
            max_new_tokens=limit, do_sample=False, num_beams=1, eos_token_id=self.end, pad_token_id=self.end
        )
        given = self._padded(self._prompts(heard))
        del given["position_ids"]  # generation counts the mask itself
        banned = list(range(self.text, rows)) or None
        ids = self.llm.generate(**given, generation_config=config, suppress_tokens=banned).cpu()
        ends = [(row == self.end).nonzero().flatten()[:1].tolist() or [len(row)] for row in ids]
        return [row[: stop[0]] for row, stop in zip(ids, ends, strict=True)]

    def _prompts(self, heard: Sequence[Tensor]) -> list[Tensor]:
        head, cue = self._table(self.head), self._table(self.cue)
        return [torch.cat([head, soft.to(head.dtype), cue]) for soft in self.soft(heard)]

    def _padded(self, parts: Sequence[Tensor]) -> dict[str, Tensor]:
        """Embeddings [n, d] of each sequence as the model's arguments, padded at the start."""
        longest = max(map(len, parts))
        if longest > self.positions:
            raise CodectokError(f"a sequence of {longest} tokens: the language model takes {self.positions}")
        embeds = pad_sequence(list(parts), batch_first=True, padding_side="left")
        lengths = torch.tensor([len(part) for part in parts], device=embeds.device)
        mask = (torch.arange(longest, device=embeds.device) >= longest - lengths[:, None]).long()
        return {
            "inputs_embeds": embeds,
            "attention_mask": mask,
            "position_ids": (mask.cumsum(1) - 1).clamp_min(0),
        }
