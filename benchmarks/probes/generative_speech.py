"""From text to what an input says of speech: characters in, frames out one after the other (autoregressive).

The shape of DASB's Tokotron: a transformer over the characters, one over the frames so far that attends to it, all
codebooks of a frame told at once, and a gate that says when the speech is over. Greedy: the most likely code, or the
regressed features, of each frame is the input of the next. There is no guided attention.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codectok.metrics.intelligibility import normalise

from ..contract import Example, InputInfo
from . import ProbeOptions
from .encoder import sinusoids
from .frontend import collate, length_mask

LAYERS = {"tokotron-small": (3, 6), "tokotron-deep": (6, 12)}
"""Layers over characters and over frames, as published; a third of them in size "small"."""
SLACK = 1.5
"""A clip may take this many times the frames a character that the slowest training clip took."""
UNKNOWN = 1


class Alphabet:
    """Characters of the training texts; others are one unknown character. 0 is padding."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.numbers = {c: i + 2 for i, c in enumerate(sorted(set("".join(map(normalise, texts)))))}
        self.size = len(self.numbers) + 2

    def batch(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Numbers int64 [B, N], padded, and lengths [B] of at least 1."""
        rows = [torch.tensor([self.numbers.get(c, UNKNOWN) for c in normalise(t)] or [UNKNOWN]) for t in texts]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor([len(r) for r in rows])


class Speaker(nn.Module):
    """The model of the module's docstring.

    Args:
        name: of the probe, see :data:`LAYERS`.
        info: of the input whose codes or features are told.
        alphabet: of the texts.
        frames_per_character: of the slowest training clip.
        options: size, dim and dropout are read.
        moments: mean and standard deviation of the features [D] each, for inputs that are not discrete.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        name: str,
        info: InputInfo,
        alphabet: Alphabet,
        frames_per_character: float,
        options: ProbeOptions,
        moments: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        super().__init__()
        small = options.size == "small"
        dim = options.dim or (64 if small else 512)
        layers = [max(1, n // 3) if small else n for n in LAYERS[name]]
        dropout = 0.1 if options.dropout < 0 else options.dropout
        self.info, self.alphabet, self.pace = info, alphabet, frames_per_character
        self.dim, self.discrete, self.sizes = dim, info.kind == "discrete", list(info.codebook_sizes)
        width = sum(self.sizes) if self.discrete else info.dim
        self.characters = nn.Embedding(alphabet.size, dim, padding_idx=0)
        self.frames: nn.Module = nn.Embedding(width, dim) if self.discrete else nn.Linear(width, dim)
        self.start = nn.Parameter(torch.randn(dim) * 0.1)
        shape = (dim, 4, 4 * dim, dropout)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(*shape, batch_first=True, norm_first=True), layers[0], enable_nested_tensor=False
        )
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(*shape, batch_first=True, norm_first=True), layers[1], nn.LayerNorm(dim)
        )
        self.head, self.gate = nn.Linear(dim, width), nn.Linear(dim, 1)
        self.register_buffer("starts", torch.tensor([0, *self.sizes[:-1]]).cumsum(0), persistent=False)
        mean, scale = moments or (torch.zeros(info.dim), torch.ones(info.dim))
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale.clamp_min(1e-5))

    def read(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Encoded characters [B, N, dim], and True where there is padding [B, N]."""
        numbers, lengths = (x.to(self.mean.device) for x in self.alphabet.batch(texts))
        padding = ~length_mask(lengths, numbers.shape[1])
        x = self.characters(numbers) * self.dim**0.5 + sinusoids(numbers.shape[1], self.dim, numbers.device)
        return self.encoder(x, src_key_padding_mask=padding), padding

    def embed(self, x: Tensor) -> Tensor:
        """Frames as a decoder takes them (codes [B, K, T], or scaled features [B, T, D]) -> [B, T, dim]."""
        if self.discrete:
            starts: Tensor = self.get_buffer("starts")
            return self.frames((x + starts[:, None]).transpose(1, 2)).sum(2)
        embedded: Tensor = self.frames(x)
        return embedded

    def forward(self, before: Tensor, text: Tensor, padding: Tensor) -> Tensor:
        """What follows each of [B, T, dim] embedded frames, and the start before them: [B, T + 1, dim]."""
        x = torch.cat([self.start.expand(len(before), 1, -1), before], 1)
        x = x + sinusoids(x.shape[1], self.dim, x.device)
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], device=x.device)
        out: Tensor = self.decoder(x, text, tgt_mask=mask, memory_key_padding_mask=padding, tgt_is_causal=True)
        return out

    def loss(self, examples: Sequence[Example]) -> Tensor:
        """Mean over frames of the frames' loss, and of the gate's."""
        x, lengths = collate(examples, self.mean.device)
        x = x if self.discrete else (x - self.mean) / self.scale
        frames = x.shape[2 if self.discrete else 1]
        hidden = self(self.embed(x), *self.read([e.clip.label for e in examples]))
        mask = length_mask(lengths, frames)
        output = self.head(hidden[:, :-1])
        if self.discrete:
            parts = enumerate(output.split(self.sizes, 2))
            each = torch.stack([F.cross_entropy(p.mT, x[:, k], reduction="none") for k, p in parts]).mean(0)
        else:
            each = (output - x).square().mean(2)
        over = torch.arange(frames + 1, device=x.device)[None] == lengths[:, None]
        gate = F.binary_cross_entropy_with_logits(self.gate(hidden)[..., 0], over.float(), reduction="none")
        told = length_mask(lengths + 1, frames + 1)
        return (each * mask).sum() / mask.sum() + (gate * told).sum() / told.sum()

    @torch.no_grad()
    def speak(self, texts: Sequence[str]) -> list[Tensor]:
        """Codes int64 [K, T] or features float32 [T, D] of each text, T of at least 1 and bounded by its length."""
        text, padding = self.read(texts)
        limits = [max(1, round(SLACK * self.pace * max(1, len(normalise(t))))) for t in texts]
        shape = (len(texts), len(self.sizes), 0) if self.discrete else (len(texts), 0, self.info.dim)
        x = torch.zeros(shape, dtype=torch.long if self.discrete else torch.float32, device=text.device)
        ends = torch.tensor(limits)
        for frame in range(max(limits)):
            hidden = self(self.embed(x), text, padding)[:, -1:]
            over = (self.gate(hidden)[:, 0, 0] > 0).cpu()
            if frame:
                ends = torch.where(over & (ends > frame), frame, ends)
            if bool((ends <= frame).all()):
                break
            output = self.head(hidden)
            if self.discrete:
                output = torch.stack([p.argmax(2) for p in output.split(self.sizes, 2)], 1)
            x = torch.cat([x, output], 2 if self.discrete else 1)
        x = (x if self.discrete else x * self.scale + self.mean).cpu()
        return [row[:, :n] if self.discrete else row[:n] for row, n in zip(x, ends.tolist(), strict=True)]
