"""Codebook health against counting by hand."""

from __future__ import annotations

import pytest
import torch

from codectok.codec.health import codebook_health, count_codes, health_of_counts


def test_health_of_codes_known_by_hand() -> None:
    codes = torch.tensor([[[0, 1, 2, 3], [5, 5, 5, 5], [-1, -1, -1, -1]], [[0, 1, 2, 3], [5, -1, -1, -1], [-1] * 4]])
    uniform, single, none = codebook_health(codes, [8, 10, 4])
    assert (uniform.used, uniform.perplexity, uniform.entropy) == (0.5, pytest.approx(4), pytest.approx(2))
    assert (single.used, single.perplexity, single.entropy) == (0.1, 1.0, 0.0)
    assert (none.used, none.perplexity, none.entropy) == (0.0, 0.0, 0.0)


def test_counts_of_batches_add_up() -> None:
    sizes = [7, 5]
    a, b = (torch.stack([torch.randint(-1, n, (3, 20)) for n in sizes], 1) for _ in range(2))
    joined = [x + y for x, y in zip(count_codes(a, sizes), count_codes(b, sizes), strict=True)]
    assert health_of_counts(joined) == codebook_health(torch.cat([a, b]), sizes)
