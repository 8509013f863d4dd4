"""Probes: small models that say how much of a label an input tells. All are built here, by name and size."""

from __future__ import annotations

from typing import Any

from codectok import registry
from codectok.errors import FormatError

from .encoder import Encoder
from .options import ProbeOptions
from .pooling import Pooling, Statistics
from .probe import Probe

__all__ = ["PROBES", "Probe", "ProbeOptions", "build_encoder", "build_pooling", "frame_size", "gives_frames"]

PROBES: registry.Table[Probe] = registry.Table("probes")


def gives_frames(name: str) -> bool:
    """Whether a probe gives a frame for a frame, rather than a vector a clip."""
    return PROBES[name].frames


def frame_size(name: str, options: ProbeOptions) -> int:
    """Size of the frames that the front end of a probe makes."""
    return options.dim or (64 if options.small else PROBES[name].dim)


def build_encoder(name: str, dim: int, options: ProbeOptions | None = None) -> Encoder:
    """An encoder [B, T, dim] -> [B, T, out_dim].

    Args:
        name: of a probe that gives frames.
        dim: of a frame.
        options: size, width and dropout are read.

    Raises:
        UnknownNameError: there is none of that name.
        FormatError: one that gives vectors, or a size that cannot be built.
    """
    found = _built(name, dim, options)
    if not isinstance(found, Encoder):
        raise FormatError(f"probe {name} gives a vector a clip: a frame for a frame is needed")
    return found


def build_pooling(name: str, dim: int, options: ProbeOptions | None = None, embed: bool = False) -> Pooling:
    """A model [B, T, dim] -> [B, out_dim]; of a probe that gives frames, by statistics pooling.

    Args:
        name: of a probe.
        dim: of a frame.
        options: size, width and dropout are read.
        embed: whether the vector is compared with others (verification): statistics are then mapped to an embedding.

    Raises:
        UnknownNameError: there is none of that name.
        FormatError: a size that cannot be built.
    """
    found = _built(name, dim, options)
    if isinstance(found, Pooling):
        return found
    small = options is None or options.small
    return Statistics(found, (64 if small else 192) if embed else 0)


def _built(name: str, dim: int, options: ProbeOptions | None) -> Any:
    probe = PROBES[name]
    try:
        return probe.build(dim, options or ProbeOptions())
    except ValueError as error:
        raise FormatError(f"probe {name}: {error}") from None
