"""What is between a front end and an answer: frames to frames, [B, T, dim] -> [B, T, out_dim]."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .frontend import length_mask
from .options import ProbeOptions
from .probe import Probe


class Encoder(nn.Module):
    """Frames to frames, one output frame an input frame; padding changes nothing.

    Attributes:
        out_dim: size of an output frame.
    """

    out_dim: int

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Frames [B, T, dim] and their numbers [B] -> [B, T, out_dim], zero at padding."""
        raise NotImplementedError


class LinearEncoder(Encoder):
    """No encoder at all (``width`` 0: the probe is linear over the front end), or one hidden layer: DASB's DNN."""

    def __init__(self, dim: int, width: int = 0) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(dim, width), nn.LeakyReLU()) if width else None
        self.out_dim = width or dim

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """See :class:`Encoder`."""
        if self.hidden is None:
            return x
        y: Tensor = self.hidden(x) * length_mask(lengths, x.shape[1])[..., None]
        return y


class BiLSTM(Encoder):
    """Bidirectional LSTM (Graves and Schmidhuber 2005): SUPERB's and DASB's recogniser, 2 layers of 1024, dropout 0.2.

    The backward direction starts at each clip's own last frame.
    """

    def __init__(self, dim: int, width: int, layers: int = 2, dropout: float = 0.2) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(dim, width, layers, batch_first=True, bidirectional=True, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.out_dim = 2 * width

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """See :class:`Encoder`."""
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        y, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[1])
        out: Tensor = self.dropout(y)
        return out


def sinusoids(frames: int, dim: int, device: torch.device | str = "cpu") -> Tensor:
    """Positions as sines and cosines, float32 [T, dim], dim even (Vaswani et al. 2017, 3.5)."""
    rates = torch.exp(torch.arange(0, dim, 2, device=device) * (-torch.log(torch.tensor(10000.0)).item() / dim))
    angles = torch.arange(frames, device=device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


def _linear(dim: int, options: ProbeOptions) -> Encoder:
    return LinearEncoder(dim, 0)


def _dnn(dim: int, options: ProbeOptions) -> Encoder:
    return LinearEncoder(dim, options.width or (128 if options.small else 2048))


def _bilstm(dim: int, options: ProbeOptions) -> Encoder:
    return BiLSTM(dim, options.width or (64 if options.small else 1024), 2, options.drop(0.2))


LINEAR = Probe(_linear, frames=True)
"""Nothing but a linear map of what the front end makes."""
DNN = Probe(_dnn, frames=True)
"""One hidden layer, frame by frame."""
BILSTM = Probe(_bilstm, frames=True)
"""Two bidirectional LSTM layers."""
