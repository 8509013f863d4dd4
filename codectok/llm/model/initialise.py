"""First values of new rows in a token table, computed in float32 from the rows of text that are in use.

``mean`` bounds how much probability n new tokens take from text, by log(1 + n / N) (Hewitt 2021, "Initializing new word
embeddings for pretrained language models"); ``normal`` is that note's draw from the Gaussian with the old rows' mean
and covariance. ``codebook`` starts from what the codes mean: their vectors, turned by a fixed random map into the
table's space (distances kept, Johnson & Lindenstrauss 1984) and brought to the mean and the scale of text: k-means
tables of speech have a few centroids of silence and clicks far from all others, which are brought nearer, or the rest
would get almost no length. ``text`` starts each new row at the row of a text token, drawn without repetition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from codectok.errors import FormatError

METHODS = ("mean", "mean+noise", "normal", "text", "codebook")
NOISE = 0.1
"""Noise of ``mean+noise``, in standard deviations of text: rows stay distinct in bfloat16, whose last bit is 0.004."""
APART = 0.01
"""Noise of ``codebook``, in standard deviations of its rows."""
FARTHEST = 3.0
"""Length that a row of ``codebook`` has at most from the mean, in medians of that length."""
BLOCK = 16384
"""Rows worked on at a time."""


@dataclass(frozen=True, eq=False)
class TextRows:
    """Statistics of the rows of text.

    Attributes:
        mean: float32 [D].
        std: float32 [D], of each dimension.
        length: mean length of a row from ``mean``.
    """

    mean: Tensor
    std: Tensor
    length: float

    @classmethod
    def of(cls, table: Tensor, ids: Tensor) -> TextRows:
        """Of the rows ``ids`` of a table: those of tokens that exist, not of padding, which would pull to zero."""
        zero = torch.zeros(table.shape[1], dtype=torch.float64)
        total = sum((part.double().sum(0) for part in _parts(table, ids)), zero)
        mean = (total / len(ids)).float()
        square, length = zero, 0.0
        for part in _parts(table, ids):
            squares = (part - mean).double().square()
            square, length = square + squares.sum(0), length + float(squares.sum(1).sqrt().sum())
        return cls(mean, (square / len(ids)).sqrt().float(), length / len(ids))


def initial_rows(
    method: str,
    table: Tensor,
    text_ids: Tensor,
    count: int,
    *,
    codes: Mapping[int, tuple[Tensor, Tensor]] | None = None,
    noise: float = NOISE,
    seed: int = 0,
) -> Tensor:
    """Float32 [count, D], first values of new rows.

    Args:
        method: one of ``METHODS``.
        table: [V, D], any float dtype.
        text_ids: int64 [N], its rows of text.
        count: how many new rows.
        codes: for ``codebook``: of each codebook the places int64 [n] of its codes among the new rows, and their
            vectors float32 [n, C]. Rows that are no code's (markers, tags) are drawn as ``mean+noise``.
        noise: of ``mean+noise`` and ``text``, in standard deviations of text.
        seed: of the draws and of the random map.

    Raises:
        FormatError: an unknown method, no rows of text, or ``codebook`` without codes.
    """
    if method not in METHODS:
        raise FormatError(f"no initialisation {method!r}; there are {', '.join(METHODS)}")
    if not len(text_ids):
        raise FormatError("the model's table has no row of a text token: new rows have nothing to start from")
    if method == "codebook" and codes is None:
        raise FormatError("initialisation codebook needs an audio tokenizer: name it, or choose mean+noise")
    text = TextRows.of(table.detach(), text_ids)
    generator = torch.Generator().manual_seed(seed)
    if method == "mean":
        return text.mean.expand(count, -1).clone()
    if method == "normal":
        return text.mean + torch.randn(count, len(text.mean), generator=generator) @ _root(table, text_ids, text.mean)
    spread = noise * text.std * torch.randn(count, len(text.mean), generator=generator)
    if method == "text":
        order = torch.cat([torch.randperm(len(text_ids), generator=generator) for _ in range(0, count, len(text_ids))])
        return torch.cat([*_parts(table.detach(), text_ids[order[:count]])]) + spread
    rows = text.mean + spread
    if method == "codebook":
        assert codes is not None
        for places, vectors in codes.values():
            # Codes may have equal vectors (those that no audio used): rows with equal bits would stay alike for long.
            unit = _projected(vectors, len(text.mean), generator)
            unit = unit + APART * torch.randn(unit.shape, generator=generator)
            rows[places] = text.mean + unit * (text.length / unit.norm(dim=1).mean())
    return rows


def _projected(vectors: Tensor, width: int, generator: torch.Generator) -> Tensor:
    """[n, C] -> [n, width]: centred, outliers nearer, mapped by a random map of orthonormal rows or columns.

    Their mean square is 1.
    """
    away = vectors.float() - vectors.float().median(0).values
    lengths = away.norm(dim=1, keepdim=True)
    if (limit := FARTHEST * lengths.median()) > 0:
        away = away * (limit / lengths).clamp(max=1)
    centred = away - away.mean(0)
    wide, narrow = max(width, centred.shape[1]), min(width, centred.shape[1])
    basis = torch.linalg.qr(torch.randn(wide, narrow, generator=generator))[0]
    mapped = centred @ (basis.T if len(basis) == width else basis)
    return mapped / mapped.square().mean().sqrt().clamp_min(1e-12)


def _root(table: Tensor, ids: Tensor, mean: Tensor) -> Tensor:
    """[D, D], R with R' R the covariance of the rows: standard normal rows times R have it."""
    covariance = torch.zeros(len(mean), len(mean))
    for part in _parts(table.detach(), ids):
        covariance.addmm_((part - mean).T, part - mean)
    values, axes = torch.linalg.eigh(covariance / len(ids))
    return values.clamp_min(0).sqrt()[:, None] * axes.T


def _parts(table: Tensor, ids: Tensor) -> Iterator[Tensor]:
    return (table[part.to(table.device)].float().cpu() for part in ids.split(BLOCK))
