"""The LSTM with a skip connection between EnCodec's convolutions (Defossez et al. 2022, section 3.1)."""

from __future__ import annotations

from torch import Tensor, nn

from codectok.codec.conv import may_overwrite

LstmState = tuple[Tensor, Tensor]
"""Hidden and cell state, each [B, layers, C]."""


class SkipLstm(nn.Module):
    """x + LSTM(x) over [B, T, C], with the recurrent state carried from block to block."""

    first = 1

    def __init__(self, dim: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(dim, dim, layers, batch_first=True)

    def step(self, x: Tensor, state: LstmState | None, final: bool = False) -> tuple[Tensor, LstmState]:
        """[B, T, C] -> [B, T, C]; ``final`` changes nothing."""
        if state is None:
            zeros = x.new_zeros(x.shape[0], self.lstm.num_layers, x.shape[2])
            state = (zeros, zeros)
        if x.shape[1] == 0:
            return x, state
        hidden, cell = (s.transpose(0, 1).contiguous() for s in state)
        y, (hidden, cell) = self.lstm(x, (hidden, cell))
        y = y.add_(x) if may_overwrite(x) else y + x
        return y, (hidden.transpose(0, 1), cell.transpose(0, 1))
