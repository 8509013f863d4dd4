"""Probes: small models that say how much of a label an input tells. All are built here, by name and size."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from benchmarks.probes.encoder import Encoder
from benchmarks.probes.options import ProbeOptions
from benchmarks.probes.pooling import Pooling, Statistics
from codectok.errors import FormatError

T = TypeVar("T")

__all__ = ["ENCODERS", "POOLINGS", "ProbeOptions", "build_encoder", "build_pooling", "frame_size"]

ENCODERS = ("linear", "dnn", "bilstm", "contextnet", "conformer", "crdnn")
"""Probes that give a frame for a frame."""
POOLINGS = ("linear", "dnn", "bilstm", "ecapa", "xvector", "contextnet", "conformer", "crdnn")
"""Probes that give a vector for a clip; all but ECAPA-TDNN and X-vector do so by statistics pooling."""


def frame_size(name: str, options: ProbeOptions) -> int:
    """Size of the frames that the front end of a probe makes."""
    published = 256 if name in ("conformer", "crdnn") else 1024
    return options.dim or (64 if options.size == "small" else published)


def build_encoder(name: str, dim: int, options: ProbeOptions | None = None) -> Encoder:
    """An encoder [B, T, dim] -> [B, T, out_dim].

    Args:
        name: one of ``ENCODERS``.
        dim: of a frame.
        options: size, width and dropout are read.

    Raises:
        FormatError: there is none of that name, or a size that cannot be built.
    """
    options = options or ProbeOptions()
    small, width = options.size == "small", options.width
    drop = (lambda own: own) if options.dropout < 0 else (lambda own: options.dropout)
    makers: dict[str, Callable[[], Encoder]] = {
        "linear": lambda: _linear(dim, 0),
        "dnn": lambda: _linear(dim, width or (128 if small else 2048)),
        "bilstm": lambda: _bilstm(dim, width or (64 if small else 1024), drop(0.2)),
        "contextnet": lambda: _contextnet(dim, width or (64 if small else 256), small, drop(0.1)),
        "conformer": lambda: _conformer(dim, width or (2 * dim if small else 2048), small, drop(0.1)),
        "crdnn": lambda: _crdnn(dim, width or (64 if small else 512), small, drop(0.15)),
    }
    return _made(name, makers)


def build_pooling(name: str, dim: int, options: ProbeOptions | None = None, embed: bool = False) -> Pooling:
    """A model [B, T, dim] -> [B, out_dim].

    Args:
        name: one of ``POOLINGS``.
        dim: of a frame.
        options: size, width and dropout are read.
        embed: whether the vector is compared with others (verification): statistics are then mapped to an embedding.

    Raises:
        FormatError: there is none of that name, or a size that cannot be built.
    """
    options = options or ProbeOptions()
    small, width = options.size == "small", options.width
    if name in ("ecapa", "xvector"):
        makers: dict[str, Callable[[], Pooling]] = {
            "ecapa": lambda: _ecapa(dim, width or (64 if small else 1024), small),
            "xvector": lambda: _xvector(dim, width or (64 if small else 512), small),
        }
        return _made(name, makers)
    if name not in POOLINGS:
        raise FormatError(f"no probe {name!r}; there are {', '.join(POOLINGS)}")
    out = (64 if small else 192) if embed else 0
    return Statistics(build_encoder(name, dim, options), out)


def _made(name: str, makers: dict[str, Callable[[], T]]) -> T:
    if name not in makers:
        raise FormatError(f"no probe {name!r}; there are {', '.join(makers)}")
    try:
        return makers[name]()
    except ValueError as error:
        raise FormatError(f"probe {name}: {error}") from None


def _linear(dim: int, width: int) -> Encoder:
    from benchmarks.probes.encoder import Linear

    return Linear(dim, width)


def _bilstm(dim: int, width: int, dropout: float) -> Encoder:
    from benchmarks.probes.encoder import BiLSTM

    return BiLSTM(dim, width, 2, dropout)


def _contextnet(dim: int, width: int, small: bool, dropout: float) -> Encoder:
    from benchmarks.probes.contextnet import ContextNet

    blocks, convs = (5, 2) if small else (23, 5)
    return ContextNet(dim, width, blocks, convs, dropout)


def _conformer(dim: int, hidden: int, small: bool, dropout: float) -> Encoder:
    from benchmarks.probes.conformer import Conformer

    return Conformer(dim, 2 if small else 6, 4, hidden, 15 if small else 31, dropout)


def _crdnn(dim: int, width: int, small: bool, dropout: float) -> Encoder:
    from benchmarks.probes.crdnn import CRDNN

    if small:
        return CRDNN(dim, width, (4, 8), 1, 2 * width, dropout)
    return CRDNN(dim, width, (128, 256), 4, 512, dropout)


def _ecapa(dim: int, width: int, small: bool) -> Pooling:
    from benchmarks.probes.ecapa import ECAPA

    return ECAPA(dim, width, 64, 2 * width, width // 2) if small else ECAPA(dim, width, 192, 1536, 128)


def _xvector(dim: int, width: int, small: bool) -> Pooling:
    from benchmarks.probes.xvector import XVector

    return XVector(dim, width, 64, 3 * width) if small else XVector(dim, width, 512, 1500)
