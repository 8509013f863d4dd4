"""First values of rows against slow, obvious references; code vectors against decoders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok import load
from codectok.errors import CodectokError, CodeRangeError, FormatError
from codectok.llm.model.extend_report import closest, equal
from codectok.llm.model.initialise import TextRows, initial_rows

TABLE = torch.randn(60, 8, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 9) + 3
IDS = torch.arange(5, 55)


def test_statistics_leave_other_rows_out() -> None:
    spoiled = TABLE.clone()
    spoiled[:5], spoiled[55:] = 1e6, float("nan")
    found = TextRows.of(spoiled, IDS)
    torch.testing.assert_close(found.mean, TABLE[IDS].mean(0))
    torch.testing.assert_close(found.std, TABLE[IDS].std(0, correction=0))


def test_mean_is_in_float32() -> None:
    table = (1 + 2**-7 * torch.randint(0, 2, (4000, 3), generator=torch.Generator().manual_seed(0))).bfloat16()
    rows = initial_rows("mean", table, torch.arange(4000), 2)
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows[0], table.double().mean(0).float())


def test_noise_has_its_size_and_normal_the_covariance() -> None:
    noisy = initial_rows("mean+noise", TABLE, IDS, 20000, noise=0.1)
    torch.testing.assert_close(noisy.std(0), 0.1 * TABLE[IDS].std(0, correction=0), rtol=0.03, atol=0)
    normal = initial_rows("normal", TABLE, IDS, 200000)
    scale = TABLE[IDS].std(0)
    covariance = TABLE[IDS].T.cov(correction=0)
    torch.testing.assert_close(normal.T.cov() / scale.outer(scale), covariance / scale.outer(scale), rtol=0, atol=0.02)
    torch.testing.assert_close(normal.mean(0), TABLE[IDS].mean(0), rtol=0, atol=0.05)


@pytest.mark.parametrize("width", [3, 8, 20])
def test_codebook_rows_keep_distances(width: int) -> None:
    vectors = 7 + 4 * torch.randn(30, width, generator=torch.Generator().manual_seed(1))
    vectors[7] = vectors[3]
    places = torch.arange(30) + 2
    rows = initial_rows("codebook", TABLE, IDS, 40, codes={0: (places, vectors)})
    text = TextRows.of(TABLE, IDS)
    codes = rows[places]
    torch.testing.assert_close(codes.mean(0), text.mean, rtol=0, atol=0.05)
    away = (TABLE[IDS] - text.mean).norm(dim=1).mean()
    assert text.length == pytest.approx(float(away), rel=1e-5)
    assert (codes - text.mean).norm(dim=1).mean() == pytest.approx(text.length, rel=0.01)
    if width <= 8:  # there is room: the map is an isometry but for scale
        far = torch.pdist(vectors) > 2
        ratio = torch.pdist(codes)[far] / torch.pdist(vectors)[far]
        torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio), rtol=0.1, atol=0)
    assert 0 < (codes[7] - codes[3]).norm() < 0.1 * (codes[7] - codes[4]).norm()
    assert rows.isfinite().all()
    again = initial_rows("codebook", TABLE, IDS, 40, codes={0: (places, vectors)})
    assert torch.equal(rows, again)


def test_a_few_far_centroids_leave_the_others_their_length() -> None:
    """As in k-means tables of speech encoders: of 500 centroids, five of silence and clicks are 100 times as far."""
    generator = torch.Generator().manual_seed(2)
    vectors = torch.randn(500, 64, generator=generator)
    vectors[:5] *= 100
    table = 0.23 / 8 * torch.randn(2000, 64, generator=generator)
    rows = initial_rows("codebook", table, torch.arange(2000), 500, codes={0: (torch.arange(500), vectors)})
    lengths = rows.norm(dim=1)
    assert lengths.mean() == pytest.approx(0.23, rel=0.05)
    assert lengths[5:].min() > 0.1
    assert lengths.max() < 3.5 * 0.23
    assert lengths[:5].min() > lengths[5:].max()
    near = torch.pdist(vectors[5:])
    correlation = torch.corrcoef(torch.stack([near, torch.pdist(rows[5:])]))[0, 1]
    assert correlation > 0.99


@pytest.mark.parametrize("count", [3, 50, 130])
def test_text_rows_are_those_of_text(count: int) -> None:
    rows = initial_rows("text", TABLE, IDS, count, noise=0.0)
    assert all((TABLE[IDS] == row).all(1).any() for row in rows)
    assert len(rows[:50].unique(dim=0)) == min(count, 50)
    noisy = initial_rows("text", TABLE, IDS, count)
    assert len(noisy.unique(dim=0)) == count
    assert ((noisy - rows) / TABLE[IDS].std(0)).abs().max() < 0.6


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.integers(1, 5), st.integers(0, 99))
def test_closest_is_the_smallest_distance(count: int, width: int, seed: int) -> None:
    rows = torch.randint(-3, 4, (count, width), generator=torch.Generator().manual_seed(seed)).bfloat16()
    assert closest(rows) == pytest.approx(float(torch.pdist(rows.float()).min()), abs=1e-6)
    assert equal(rows) == count - len(rows.unique(dim=0))


def test_closest_among_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codectok.llm.model.extend_report.EXACT", 16)
    rows = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    assert closest(rows) == pytest.approx(float(torch.pdist(rows).min()))


def test_bad_requests() -> None:
    with pytest.raises(FormatError, match="no initialisation"):
        initial_rows("zeros", TABLE, IDS, 3)
    with pytest.raises(FormatError, match="no row of a text token"):
        initial_rows("mean", TABLE, IDS[:0], 3)


@pytest.mark.parametrize("kind", ["rvq", "split", "factorised", "fsq", "units"])
def test_code_vectors_add_up_to_what_is_decoded(kind: str, tmp_path: Path) -> None:
    from codectok.codec.factorised import FactorisedVQ
    from codectok.codec.fsq import FiniteScalarVQ
    from codectok.codec.rvq import ResidualVQ
    from codectok.codec.split_rvq import SplitResidualVQ
    from codectok.codec.tokenizer import CodecTokenizer
    from codectok.units.kmeans.tokenizer import UnitTokenizer
    from codectok.units.kmeans.unit_stream import UnitStream

    torch.manual_seed(0)
    made = {
        "rvq": lambda: ResidualVQ(6, [5, 4, 3]),
        "split": lambda: SplitResidualVQ(6, 4, [5, 4, 3]),
        "factorised": lambda: FactorisedVQ(6, [5, 4, 3], 2),
        "fsq": lambda: FiniteScalarVQ(6, [2, 3], 3),
    }
    if kind == "units":
        stream = UnitStream(0, [torch.randn(n, 6) for n in (5, 4, 3)], torch.randn(6), torch.rand(6) + 1)
        tok = UnitTokenizer.__new__(UnitTokenizer)
        tok.streams, tok.codebook_sizes, tok.name = [stream], stream.sizes, "units"
        decode = stream.vectors
    else:
        quantizer = made[kind]()
        tok = CodecTokenizer.__new__(CodecTokenizer)  # type: ignore[assignment]
        tok.model, tok.device = torch.nn.Module(), torch.device("cpu")  # type: ignore[misc, assignment]
        tok.model.quantizer, tok.codebook_sizes, tok.name = quantizer, quantizer.codebook_sizes, kind
        decode = lambda codes: quantizer.decode(codes[None])[0]  # noqa: E731
    codes = torch.stack([torch.randint(0, n, (20,)) for n in tok.codebook_sizes])
    vectors = [tok.code_vectors(k) for k in range(3)]
    assert [len(v) for v in vectors] == list(tok.codebook_sizes)
    total = torch.stack([v[row] for v, row in zip(vectors, codes, strict=True)]).sum(0)
    torch.testing.assert_close(total, decode(codes), rtol=0, atol=1e-5)
    with pytest.raises(CodeRangeError):
        tok.code_vectors(3)


def test_tokenizers_without_vectors_say_so() -> None:
    with pytest.raises(CodectokError, match="pcm has no code vectors"):
        load("pcm").code_vectors(0)
