"""StreamModel: any causal language model with heads for several streams."""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from codectok.files.atomic import atomic_path
from codectok.llm.heads.depth_heads import DepthHeads
from codectok.llm.heads.kv_cache import call_cached
from codectok.llm.heads.nar_heads import NarHeads
from codectok.llm.heads.parallel_heads import ParallelHeads, Said
from codectok.llm.heads.token_rows import TokenRows
from codectok.llm.patterns.stream_plan import StreamPlan
from codectok.llm.vocab.audio_vocab import AudioVocab

FILE = "streams.json"
WEIGHTS = "streams.safetensors"
FORMAT_VERSION = 1


class StreamModel(nn.Module):
    """A language model that reads a prompt of ids, then steps, and says the next step at each position.

    Of the model itself it uses what every ``AutoModelForCausalLM`` has: the two tables, ``inputs_embeds``, and the last
    of the hidden states, which is what its head reads.

    Args:
        lm: a causal language model of transformers.
        vocab: its audio tokens.
        plan: of the streams.
        width: of the second transformer of heads ``depth`` and ``nar``; 0 is the language model's own.
        layers: of the same.
    """

    def __init__(self, lm: Any, vocab: AudioVocab, plan: StreamPlan, width: int = 0, layers: int = 4) -> None:
        super().__init__()
        dim = int(lm.get_input_embeddings().weight.shape[1])
        self.lm, self.plan, self.vocab, self.layers = lm, plan, vocab, layers
        self.width = width or dim
        rows = TokenRows(plan, vocab)
        kinds = {"depth": DepthHeads, "nar": NarHeads}
        kind = kinds.get(plan.heads)
        self.heads = ParallelHeads(rows, plan, dim) if kind is None else kind(rows, plan, dim, self.width, layers)
        known = inspect.signature(lm.forward).parameters
        self._few = {"logits_to_keep": 1} if "logits_to_keep" in known else {}  # its own logits are not read

    @property
    def device(self) -> torch.device:
        """Of the token tables."""
        found: torch.device = self.embedding.weight.device
        return found

    @property
    def embedding(self) -> Any:
        """The table of ids to vectors."""
        return self.lm.get_input_embeddings()

    @property
    def head(self) -> Tensor:
        """The table [V, D] of states to logits."""
        weight: Tensor = self.lm.get_output_embeddings().weight
        return weight

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the language model, the plan and the heads into a folder."""
        self.lm.save_pretrained(folder)
        plain = {"format_version": FORMAT_VERSION, **self.plan.to_dict(), "width": self.width, "layers": self.layers}
        plain["vocab_fingerprint"] = self.vocab.fingerprint
        tensors = {name: t.detach().cpu().contiguous() for name, t in self.heads.state_dict().items()}
        if tensors:
            with atomic_path(Path(folder) / WEIGHTS) as path:
                save_file(tensors, path)
        with atomic_path(Path(folder) / FILE) as path:
            path.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")

    def inputs(self, ids: Tensor, steps: Tensor) -> Tensor:
        """Vectors [B, N, D] of prompt ids [B, N], and of steps [B, S, N] where there is one (elsewhere -1)."""
        there = steps[:, :1].ge(0).transpose(1, 2)
        embedded = self.heads.embed(self.embedding, steps.clamp(min=0))
        return torch.where(there, embedded, self.embedding(ids))

    def hidden(
        self, inputs: Tensor, mask: Tensor | None = None, cache: Any = None, keep: bool = False
    ) -> tuple[Tensor, Any]:
        """States [B, N, D] after inputs [B, N, D], and the cache where one is to be kept."""
        given = {"inputs_embeds": inputs, "attention_mask": mask, "output_hidden_states": True, **self._few}
        if not keep:
            return self.lm(**given, use_cache=False).hidden_states[-1], None
        out, cache = call_cached(self.lm, cache, **given)
        return out.hidden_states[-1], cache

    def forward(
        self,
        ids: Tensor,
        steps: Tensor,
        learned: Tensor,
        codes: Tensor,
        starts: Tensor,
        lengths: Tensor,
        weights: Tensor,
    ) -> Tensor:
        """Cross-entropy of a batch in nats, the sum over all that is learned, by weight. See ``Said``, and:

        Args:
            ids: int64 [B, N], the prompt; 0 elsewhere.
            steps: int64 [B, S, N].
            learned: bool [B, S, N].
            codes: int64 [B, K, T].
            starts: int64 [B].
            lengths: int64 [B], positions that count.
            weights: float32 [B, K], of the codebooks, the same in each row.
        """
        mask = (torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]).long()
        hidden, _ = self.hidden(self.inputs(ids, steps), mask)
        total: Tensor = self.heads.loss(
            self.embedding, self.head, Said(hidden, steps, learned, codes, starts, weights[0])
        )
        return total
