"""A language model that hears: one sequence of audio, prompt and answer, whatever the audio is given as.

A sequence is (beginning), audio, prompt, answer, end. The audio is ids of codes, soft tokens of a projector, or
nothing: none is given, or the layers read it by cross-attention.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from codectok.errors import CodectokError
from codectok.llm.continuous.ctc import CTCCompressor
from codectok.llm.continuous.encoders import EncoderConcat
from codectok.llm.continuous.gated import GatedLLM
from codectok.llm.continuous.projector import Projector
from codectok.llm.continuous.speech_llm import SpeechLLM
from codectok.llm.sequence.loss_labels import IGNORE, weighted_loss

PLACE = -1
"""Stands for a soft token among ids: it is no id of any vocabulary."""
Batch = Mapping[str, Tensor]


class PlainLLM(nn.Module):
    """A language model that is given no audio, or audio as ids of its vocabulary."""

    def __init__(self, llm: Any) -> None:
        super().__init__()
        self.llm = llm


class ListeningModel(nn.Module):
    """Encoder features (or codes) -> projector -> language model, for training and generation.

    Args:
        reader: the language model, with what brings the audio into it.
        head: int64 [N], ids that begin every sequence.
        join: brings several encoders to one frame rate and each to one scale; None where there are no features.
        encoders: encoders that are trained with the rest; () where features are given.
        ctc_weight: of the CTC loss, where the projector has one.
        positions: longest sequence of the language model.
    """

    head: Tensor

    def __init__(
        self,
        reader: SpeechLLM | GatedLLM | PlainLLM,
        head: Tensor,
        join: EncoderConcat | None = None,
        encoders: Sequence[nn.Module] = (),
        ctc_weight: float = 1.0,
        positions: int = 1 << 30,
    ) -> None:
        super().__init__()
        self.reader, self.join, self.encoders = reader, join, nn.ModuleList(encoders)
        self.ctc_weight, self.positions = ctc_weight, positions
        self.register_buffer("head", head, persistent=False)

    @property
    def llm(self) -> Any:
        """The language model alone."""
        return self.reader.llm

    @property
    def projector(self) -> Projector | None:
        """What makes soft tokens, where they are made."""
        return self.reader.projector if isinstance(self.reader, SpeechLLM) else None

    def adapter(self) -> dict[str, nn.Module]:
        """What stands between encoder and language model: its parts by name, those that there are."""
        parts: dict[str, nn.Module | None] = {"join": self.join, "projector": self.projector}
        parts |= {"blocks": self.reader.blocks} if isinstance(self.reader, GatedLLM) else {}
        return {name: part for name, part in parts.items() if part is not None}

    def encoder_parameters(self) -> dict[str, nn.Parameter]:
        """What is trained of the encoders, by name: their low-rank updates, or where they have none, all."""
        every = {f"encoder{i}.{name}": p for i, e in enumerate(self.encoders) for name, p in e.named_parameters()}
        return {name: p for name, p in every.items() if "lora_" in name} or every

    def features(self, batch: Batch) -> tuple[Tensor, Tensor] | None:
        """Joined features [B, T, D] of a batch and their lengths [B]; None where there are none.

        Args:
            batch: ``audio0`` [B, T, D] of each encoder (of those that are trained, samples [B, S]) and ``lengths0``.
        """
        if self.join is None:
            return None
        found, lengths = [], []
        for i in range(len(self.join.rates)):
            x, n = batch[f"audio{i}"].to(self.head.device), batch[f"lengths{i}"].to(self.head.device)
            if len(self.encoders):
                x, n = self.encoders[i](x, n)
            found.append(x)
            lengths.append(n)
        return self.join(found, lengths)

    def forward(self, batch: Batch) -> Tensor:
        """The mean loss, in nats, of the labels of a batch; of CTC too, where the projector learns from transcripts.

        Args:
            batch: see :meth:`features`, and ``texts`` int64 [B, N] and ``labels`` [B, N], prompt and answer,
                padded, with their ``lengths`` [B]; ``transcripts`` [B, M] and ``transcript_lengths`` [B] for CTC.

        Raises:
            CodectokError: a sequence that is longer than the language model takes.
        """
        heard = self.features(batch)
        texts, counts = batch["texts"].to(self.head.device), batch["lengths"].tolist()
        tails = [row[:n] for row, n in zip(texts, counts, strict=True)]
        rows = self._rows(batch, heard, tails)
        ids, mask = self._padded(rows, "right")
        labels = torch.full_like(ids, IGNORE)
        for i, (row, n) in enumerate(zip(rows, counts, strict=True)):
            labels[i, len(row) - n : len(row)] = batch["labels"][i, :n].to(ids.device)
        loss = weighted_loss(self._read(ids, mask, heard).logits, labels)
        if "transcripts" in batch and heard is not None and isinstance(self.projector, CTCCompressor):
            targets = batch["transcripts"].to(ids.device), batch["transcript_lengths"].to(ids.device)
            loss = loss + self.ctc_weight * self.projector.ctc_loss(*heard, *targets)
        return loss

    @torch.no_grad()
    def generate(self, batch: Batch, prompt: Tensor, **more: Any) -> Tensor:
        """New ids int64 [B, L'] after each clip of a batch and the prompt.

        Args:
            batch: see :meth:`features`; with discrete input ``audio0`` is ids [B, N].
            prompt: int64 [N], the text behind the audio, at least one id.
            more: of the model's own ``generate``.

        Raises:
            CodectokError: a sequence that is longer than the language model takes.
        """
        heard = self.features(batch)
        size = len(batch["lengths0"]) if "lengths0" in batch else 1
        ids, mask = self._padded(self._rows(batch, heard, [prompt.to(self.head.device)] * size), "left")
        given = {"attention_mask": mask, **more}
        if isinstance(self.reader, SpeechLLM) and heard is not None:
            return self.reader.generate(ids, *heard, **given)
        if isinstance(self.reader, GatedLLM) and heard is not None:
            out = self.reader.generate(input_ids=ids, audio=heard[0], lengths=heard[1], **given)
        else:
            out = self.llm.generate(input_ids=ids, **given)
        return out[:, ids.shape[1] :]

    def _read(self, ids: Tensor, mask: Tensor, heard: tuple[Tensor, Tensor] | None) -> Any:
        given = {"attention_mask": mask, "use_cache": False}
        if isinstance(self.reader, SpeechLLM) and heard is not None:
            return self.reader(ids, *heard, **given)
        if isinstance(self.reader, GatedLLM) and heard is not None:
            return self.reader(input_ids=ids, audio=heard[0], lengths=heard[1], **given)
        return self.llm(input_ids=ids, **given)

    def _rows(self, batch: Batch, heard: tuple[Tensor, Tensor] | None, tails: Sequence[Tensor]) -> list[Tensor]:
        """Ids of each whole sequence, with ``PLACE`` where a soft token goes."""
        audio = [self.head.new_zeros(0)] * len(tails)
        if isinstance(self.reader, SpeechLLM) and heard is not None:
            audio = [self.head.new_full((n,), PLACE) for n in self.reader.counts(*heard)]
        elif heard is None and "audio0" in batch:
            lengths = batch["lengths0"].tolist()
            audio = [row[:n].to(self.head.device) for row, n in zip(batch["audio0"], lengths, strict=True)]
        return [torch.cat([self.head, a, tail]) for a, tail in zip(audio, tails, strict=True)]

    def _padded(self, rows: Sequence[Tensor], side: str) -> tuple[Tensor, Tensor]:
        """Ids [B, L] and their mask [B, L]."""
        longest = max(map(len, rows))
        if longest > self.positions:
            raise CodectokError(
                f"a sequence of {longest} tokens: the language model takes {self.positions}; take shorter clips, or a "
                "projector of fewer soft tokens (conv, qformer)"
            )
        ones = [torch.ones_like(row) for row in rows]
        ids, mask = (pad_sequence(x, batch_first=True, padding_side=side) for x in (list(rows), ones))
        return ids, mask
