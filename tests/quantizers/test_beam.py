"""Beam search against slow references."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from codectok.codec.beam import beam_search, paths_of
from codectok.codec.folder import save_codec
from codectok.codec.harmonic import HarmonicCodec, HarmonicCodecConfig
from codectok.codec.opening import open_codec
from codectok.codec.partitioned_vq import PartitionedVQ
from codectok.codec.rvq import ResidualVQ
from codectok.errors import FormatError
from tests.contract.subjects import HARMONIC
from tests.quantizers.subjects import DIM, SIZES, latents

TABLES = [torch.randn(n, DIM, generator=torch.Generator().manual_seed(n)) for n in SIZES]


def slow(row: Tensor, tables: list[Tensor], paths: int) -> list[int]:
    """One row, path by path, in float64."""
    kept: list[tuple[list[int], Tensor]] = [([], row.double())]
    for table in tables:
        grown = [([*codes, j], rest - table[j].double()) for codes, rest in kept for j in range(len(table))]
        kept = sorted(grown, key=lambda path: float(path[1].square().sum()))[:paths]
    return kept[0][0]


@pytest.mark.parametrize("paths", [1, 2, 4, 8, 64])
def test_codes_equal_the_slow_search(paths: int) -> None:
    x = latents(1, 60)[0]
    expected = [slow(row, TABLES, paths) for row in x]
    assert beam_search(x, TABLES, paths).codes[:, 0].tolist() == expected


def test_one_path_is_greedy() -> None:
    vq = ResidualVQ(DIM, SIZES)
    x = latents()
    greedy = vq.encode(x)
    vq.paths = 1
    found = beam_search(x.flatten(0, 1), [level.vectors for level in vq.levels], 1)
    assert torch.equal(found.codes[:, 0].view(3, 40, -1).transpose(1, 2), greedy)


def test_enough_paths_find_the_nearest_sum() -> None:
    tables = [t[:4] for t in TABLES[:3]]
    sums = torch.stack([a + b + c for a, b, c in itertools.product(*tables)])
    x = latents(1, 50)[0]
    found = beam_search(x, tables, 64)
    best = torch.cdist(x, sums).square().min(1).values
    torch.testing.assert_close(found.errors[:, 0], best, rtol=1e-4, atol=1e-4)
    assert (found.errors.diff(dim=1) >= 0).all(), "best first"


def test_more_paths_come_nearer() -> None:
    x = latents(1, 400, seed=5)[0]
    errors = [float(beam_search(x, TABLES, n).errors[:, 0].mean()) for n in (1, 2, 8)]
    assert errors[2] < errors[1] < errors[0]


@pytest.mark.parametrize("size", [7, 64, 1024])
def test_large_codebooks_are_searched_as_small_ones(size: int) -> None:
    """What is skipped in finding the smallest distances changes nothing."""
    generator = torch.Generator().manual_seed(size)
    tables = [torch.randn(size, DIM, generator=generator) * 0.5**k for k in range(3)]
    x = latents(1, 20)[0]
    found = beam_search(x, tables, 8)
    assert found.codes[:, 0].tolist() == [slow(row, tables, 8) for row in x]


def test_no_rows() -> None:
    assert beam_search(torch.zeros(0, DIM), TABLES, 4).codes.shape == (0, 4, len(SIZES))


def test_frames_do_not_see_each_other() -> None:
    vq = PartitionedVQ([3, 5], [1, 3], SIZES, "beam-8")
    z = latents(1, 300)
    together = vq.encode(z)
    alone = torch.cat([vq.encode(z[:, t : t + 1]) for t in range(300)], 2)
    assert torch.equal(together, alone)


@pytest.mark.parametrize(("search", "paths"), [("greedy", 1), ("beam-1", 1), ("beam-8", 8)])
def test_names_of_searches(search: str, paths: int) -> None:
    assert paths_of(search) == paths


@pytest.mark.parametrize("search", ["", "beam", "beam-", "beam-0", "beam-x", "beam-65", "Greedy"])
def test_unknown_searches_are_refused(search: str) -> None:
    with pytest.raises(FormatError, match="give greedy, or beam-N"):
        ResidualVQ(DIM, SIZES, search)


def test_search_is_part_of_the_fingerprint(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """And a greedy codec is written as before there was a choice."""
    found = {}
    for search in ("greedy", "beam-4"):
        torch.manual_seed(0)
        config = HarmonicCodecConfig(**{**vars(HARMONIC), "search": search})
        save_codec(HarmonicCodec(config), tmp_path / search)
        found[search] = open_codec(tmp_path / search, search)
        assert found[search].model.config.search == search  # type: ignore[attr-defined]
    assert found["greedy"].fingerprint != found["beam-4"].fingerprint
    assert '"search"' not in (tmp_path / "greedy" / "config.json").read_text()
