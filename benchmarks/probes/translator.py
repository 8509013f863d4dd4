"""An attention encoder-decoder (Vaswani et al. 2017; Listen, Attend and Spell, Chan et al. 2016), small."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..contract import InputInfo
from . import ProbeOptions, build_encoder, frame_size
from .encoder import sinusoids
from .frontend import Frontend, length_mask

START, END = 0, 1
SMOOTHING = 0.1


class Translator(nn.Module):
    """Front end, any encoder, and a Transformer decoder that looks at every frame of it.

    Args:
        name: of the encoder.
        info: of the input.
        pieces: of the target vocabulary; START and END are the first two.
        options: see :class:`ProbeOptions`; the decoder has 2 layers of 128, or 6 of 256 if "published".
        vectors: code vectors to start from, or None.
    """

    def __init__(
        self,
        name: str,
        info: InputInfo,
        pieces: int,
        options: ProbeOptions,
        vectors: Sequence[Tensor] | None = None,
    ) -> None:
        super().__init__()
        dim, (size, layers) = frame_size(name, options), (128, 2) if options.size == "small" else (256, 6)
        dropout = 0.1 if options.dropout < 0 else options.dropout
        self.frontend, self.model = Frontend(info, dim, vectors), build_encoder(name, dim, options)
        self.bridge, self.pieces = nn.Linear(self.model.out_dim, size), nn.Embedding(pieces, size)
        layer = nn.TransformerDecoderLayer(size, 4, 4 * size, dropout, batch_first=True, norm_first=True)
        self.decoder = nn.TransformerDecoder(layer, layers, nn.LayerNorm(size))
        self.last = nn.Linear(size, pieces)

    def forward(self, x: Tensor, lengths: Tensor, targets: Tensor | None = None) -> Tensor:
        """Logits [B, N, pieces] of what follows each of ``targets`` [B, N]; START alone without them."""
        if targets is None:
            targets = torch.full((len(x), 1), START, device=x.device)
        return self._decode(*self._encode(x, lengths), targets)

    def loss(self, x: Tensor, lengths: Tensor, texts: Sequence[Tensor]) -> Tensor:
        """Mean cross-entropy of a piece, its label smoothed by 0.1 in training."""
        rows = [torch.tensor([START, *text.tolist(), END]) for text in texts]
        both = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100).to(x.device)
        logits = self(x, lengths, both[:, :-1].masked_fill(both[:, :-1] < 0, END))
        smoothing = SMOOTHING if self.training else 0.0
        return F.cross_entropy(logits.transpose(1, 2), both[:, 1:], label_smoothing=smoothing)

    @torch.no_grad()
    def write(self, x: Tensor, lengths: Tensor, limit: int) -> list[list[int]]:
        """The likeliest piece at each step until END, ``limit`` pieces at most; START and END left out."""
        memory, mask = self._encode(x, lengths)
        said = torch.full((len(x), 1), START, device=x.device)
        done = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        for _ in range(limit):
            logits = self._decode(memory, mask, said)[:, -1]
            logits[:, START] = -torch.inf
            new = logits.argmax(1).masked_fill(done, END)
            said, done = torch.cat([said, new[:, None]], 1), done | (new == END)
            if done.all():
                break
        rows = said[:, 1:].tolist()
        return [row[: row.index(END)] if END in row else row for row in rows]

    def _encode(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        frames = self.bridge(self.model(self.frontend(x, lengths), lengths))
        return frames + sinusoids(frames.shape[1], frames.shape[2], frames.device), length_mask(
            lengths, frames.shape[1]
        )

    def _decode(self, memory: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        count = targets.shape[1]
        y = self.pieces(targets) + sinusoids(count, memory.shape[2], memory.device)
        later = torch.ones(count, count, dtype=torch.bool, device=memory.device).triu(1)
        out: Tensor = self.last(self.decoder(y, memory, tgt_mask=later, memory_key_padding_mask=~mask))
        return out
