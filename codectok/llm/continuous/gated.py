"""Gated cross-attention (Flamingo, Alayrac et al. 2022): the text reads the audio, the prompt holds none of it.

Before every n-th layer of the language model, ``x += tanh(a) Attn(LN(x); audio)`` and ``x += tanh(f) FF(LN(x))``.
The gates a and f start at 0, where the model's output is, bit for bit, what it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from codectok.errors import CodectokError
from codectok.llm.continuous.scatter import check_lengths, frame_mask


class GatedCrossAttention(nn.Module):
    """One block. Flamingo has 8 heads of 64 and a feed-forward network of 4 dim.

    Args:
        dim: width of the language model.
        audio_dim: width of the audio.
        heads: of attention.
        head_dim: width of each.
        feedforward: width inside the feed-forward network; None for 4 dim.
    """

    def __init__(
        self, dim: int, audio_dim: int, heads: int = 8, head_dim: int = 64, feedforward: int | None = None
    ) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, heads * head_dim, bias=False)
        self.key_value = nn.Linear(audio_dim, 2 * heads * head_dim, bias=False)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)
        width = feedforward or 4 * dim
        self.feedforward = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, width, bias=False), nn.GELU(), nn.Linear(width, dim, bias=False)
        )
        self.attention_gate = nn.Parameter(torch.zeros(1))
        self.feedforward_gate = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, audio: Tensor, visible: Tensor) -> Tensor:
        """Text states [B, L, dim], audio [B, T, audio_dim] and bool [B, L or 1, T], what each text token sees."""
        states, x = x, x.to(self.norm.weight.dtype)
        some = visible.any(-1, keepdim=True)
        q = self.query(self.norm(x)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.key_value(audio).unflatten(-1, (2 * self.heads, -1)).transpose(1, 2).chunk(2, 1)
        # A token that sees nothing looks everywhere, so that there is no NaN, and what it found counts nothing.
        found = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=(visible | ~some)[:, None])
        found = self.out(found.transpose(1, 2).flatten(2)) * some
        x = x + self.attention_gate.tanh() * found
        x = x + self.feedforward_gate.tanh() * self.feedforward(x)
        return x.to(states.dtype)


class GatedLLM(nn.Module):
    """A language model with a gated block before every n-th of its layers. Without audio it is the model alone.

    Args:
        llm: any causal model of transformers whose layers are one ``nn.ModuleList``.
        audio_dim: width of the audio, features or soft tokens of a projector.
        every: n, 1 for each layer.
        options: ``heads``, ``head_dim`` and ``feedforward`` of the blocks.

    Raises:
        CodectokError: a model whose layers are not found.
    """

    def __init__(self, llm: Any, audio_dim: int, every: int = 1, **options: int) -> None:
        super().__init__()
        layers = decoder_layers(llm)
        dim = llm.get_input_embeddings().weight.shape[1]
        self.llm, self.audio_dim, self.every = llm, audio_dim, every
        self.blocks = nn.ModuleList(GatedCrossAttention(dim, audio_dim, **options) for _ in layers[::every])
        self._audio: tuple[Tensor, Tensor] | None = None
        for layer, block in zip(layers[::every], self.blocks, strict=True):
            layer.register_forward_pre_hook(self._hook(block), with_kwargs=True)

    def forward(
        self,
        *args: Any,
        audio: Tensor | None = None,
        lengths: Tensor | Sequence[int] | None = None,
        visible: Tensor | None = None,
        **more: Any,
    ) -> Any:
        """The model's own forward, reading audio.

        Args:
            args: positional arguments of the model.
            audio: [B, T, audio_dim], padding may hold anything; None for none.
            lengths: [B]; None for T each.
            visible: bool [B, L, T], frames that each text token may read (masked cross-attention: those of clips
                that stand before it); None for all.
            more: keywords of the model.

        Raises:
            CodectokError: shapes that do not fit.
        """
        with self.reading(audio, lengths, visible):
            return self.llm(*args, **more)

    def generate(
        self,
        *args: Any,
        audio: Tensor | None = None,
        lengths: Tensor | Sequence[int] | None = None,
        visible: Tensor | None = None,
        **more: Any,
    ) -> Any:
        """The model's own generate, reading audio; what is generated sees what the last token of the prompt sees."""
        with self.reading(audio, lengths, visible):
            return self.llm.generate(*args, **more)

    @contextmanager
    def reading(
        self, audio: Tensor | None, lengths: Tensor | Sequence[int] | None = None, visible: Tensor | None = None
    ) -> Iterator[None]:
        """Within the block, all calls of the model read this audio (see ``forward``)."""
        previous = self._audio
        self._audio = None if audio is None else self._checked(audio, lengths, visible)
        try:
            yield
        finally:
            self._audio = previous

    def _checked(
        self, audio: Tensor, lengths: Tensor | Sequence[int] | None, visible: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        mask = frame_mask(check_lengths(lengths, audio), audio.shape[1])[:, None]
        if audio.shape[2] != self.audio_dim:
            raise CodectokError(f"audio of width {audio.shape[2]}: these blocks take {self.audio_dim}")
        if visible is not None and (visible.dim() != 3 or visible.shape[::2] != (len(audio), audio.shape[1])):
            raise CodectokError(f"visible of shape {list(visible.shape)}: give [B, L, T]")
        return audio.masked_fill(~mask.mT, 0.0), mask if visible is None else mask & visible

    def _hook(self, block: nn.Module) -> Any:
        def before(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if self._audio is None or not self._audio[0].shape[1]:
                return None
            audio, visible = self._audio
            x = args[0] if args else kwargs["hidden_states"]
            if len(x) != len(audio):
                raise CodectokError(f"a batch of {len(x)} reads audio of {len(audio)} clips: give one clip an item")
            x = block(x, audio.to(block.get_parameter("norm.weight").dtype), rows_for(visible, x.shape[1]))
            return ((x, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": x})

        return before


def rows_for(visible: Tensor, steps: int) -> Tensor:
    """Rows [B, steps or 1, T] of ``visible`` [B, L, T]: its last ones; text behind the prompt sees as its last row."""
    have = visible.shape[1]
    if have == 1 or steps <= have:
        return visible[:, -steps:] if have > 1 else visible
    return torch.cat([visible, visible[:, -1:].expand(-1, steps - have, -1)], 1)


def decoder_layers(llm: Any) -> nn.ModuleList:
    """The layers of a causal model: the outermost ModuleList that is as long as its config says.

    Raises:
        CodectokError: none.
    """
    count = llm.config.get_text_config().num_hidden_layers
    for module in llm.modules():  # from the outside in, so that experts within a layer come later
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise CodectokError(f"{type(llm).__name__} has no list of its {count} layers to put blocks before")
