"""BPE of Tokens: the very Tokens come back, whatever the pattern; bpe.json; ``bpe_of``."""

from __future__ import annotations

import dataclasses
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import codectok
from codectok import Tokens
from codectok.errors import CodectokError, CodeRangeError, FingerprintError, FormatError
from codectok.transforms.code_orders import PATTERNS, arrange, restore
from codectok.transforms.unit_bpe import UnitBPE, bpe_of
from kmeans_units.bpe import train_bpe

MARK = "0123456789abcdef" * 2


def tokens_of(codes: Any, sizes: tuple[int, ...], num_samples: int = 16000, fingerprint: str = MARK) -> Tokens:
    codes = torch.as_tensor(codes, dtype=torch.int64).reshape(len(sizes), -1)
    return Tokens(codes, num_samples, 16000, Fraction(50), sizes, fingerprint)


def some_tokens(sizes: tuple[int, ...], seed: int = 0, count: int = 30) -> list[Tokens]:
    rng = np.random.default_rng(seed)
    return [
        tokens_of(np.repeat([rng.zipf(1.6, 40) % n for n in sizes], rng.integers(1, 4, 40), 1), sizes)
        for _ in range(count)
    ]


PATTERN_SIZES = [("single", (7,)), ("flatten", (5, 4, 6)), ("frame", (5, 4, 6)), ("codebook-major", (5, 4, 6))]


@pytest.mark.parametrize("dedup", [True, False])
@pytest.mark.parametrize(("pattern", "sizes"), PATTERN_SIZES)
def test_tokens_come_back(pattern: str, sizes: tuple[int, ...], dedup: bool) -> None:
    many = some_tokens(sizes)
    bpe = train_bpe(many, sum(sizes) + 25, pattern=pattern, dedup=dedup)
    many += [t.dedup() for t in many] + [tokens_of([[]] * len(sizes), sizes, 0)]
    # Runs that dedup would not leave apart, as a person or a program may write them.
    many.append(dataclasses.replace(many[0], durations=torch.full((many[0].codes.shape[1],), 2)))
    merged = bpe.encode_batch(many)
    assert bpe.decode_batch(merged) == many
    assert [bpe.encode(t) for t in many] == merged
    assert bpe.decode(merged[0]) == many[0]
    assert sum(map(len, merged[:30])) < 0.8 * sum(t.codes.numel() for t in many[:30])


@settings(max_examples=100, deadline=None)
@given(
    data=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=30),
    pattern=st.sampled_from(["flatten", "frame", "codebook-major"]),
    dedup=st.booleans(),
    given_runs=st.booleans(),
)
def test_any_tokens_come_back(data: list[tuple[int, int]], pattern: str, dedup: bool, given_runs: bool) -> None:
    bpe = UnitBPE((4, 3), [(0, 4), (7, 7), (1, 1), (5, 0)], pattern=pattern, dedup=dedup, tokenizer_fingerprint=MARK)
    tokens = tokens_of(np.array(data, dtype=np.int64).reshape(-1, 2).T, (4, 3))
    tokens = tokens.dedup() if given_runs else tokens
    assert bpe.decode(bpe.encode(tokens)) == tokens


def test_merged_knows_its_rates() -> None:
    bpe = UnitBPE((4,), [(0, 1)], tokenizer_fingerprint=MARK)
    merged = bpe.encode(tokens_of([0, 0, 1, 2, 2, 2], (4,), 8000))
    assert merged.ids.tolist() == [4, 2]
    assert merged.ids.dtype == torch.int64
    assert merged.durations is not None
    assert merged.durations.tolist() == [2, 1, 3]
    assert merged.token_rate == 4
    assert merged.bitrate == pytest.approx(4 * math.log2(5) / 1000)


def test_patterns_are_as_drawn() -> None:
    codes, sizes = np.array([[0, 1, 2], [0, 1, 2]]), (10, 10)
    assert arrange(codes, sizes, "flatten").tolist() == [0, 10, 1, 11, 2, 12]
    assert arrange(codes, sizes, "frame").tolist() == [0, 10, 1, 11, 2, 12]
    assert arrange(codes, sizes, "codebook-major").tolist() == [0, 1, 2, 10, 11, 12]
    for pattern in PATTERNS[1:]:
        assert np.array_equal(restore(arrange(codes, sizes, pattern), sizes, pattern), codes)
    with pytest.raises(FormatError, match="no whole frames"):
        restore(np.array([0, 10, 1]), sizes, "flatten")
    with pytest.raises(FormatError, match="symbol 0 stands where frame 0 has its codebook 1"):
        restore(np.array([0, 0]), sizes, "flatten")


def test_no_token_goes_over_a_bar() -> None:
    many = some_tokens((3, 3), count=60)
    spans = {}
    for pattern in PATTERNS[1:]:
        bpe = train_bpe(many, 20 if pattern != "frame" else 12, pattern=pattern, dedup=False)
        spans[pattern] = [[int(s >= 3) for s in piece] for piece in bpe.pieces()[6:]]
    assert any(len(s) > 2 for s in spans["flatten"])
    assert all(s == [0, 1] for s in spans["frame"])
    assert all(len(set(s)) == 1 for s in spans["codebook-major"])


def test_decoding_refuses_what_does_not_fit() -> None:
    bpe = UnitBPE((4,), [(0, 1)], tokenizer_fingerprint=MARK)
    merged = bpe.encode(tokens_of([0, 0, 1, 2], (4,)))
    with pytest.raises(FormatError, match="spell 2 columns, their durations are of 3"):
        bpe.decode(dataclasses.replace(merged, ids=merged.ids[:1]))
    with pytest.raises(CodeRangeError, match="id 9"):
        bpe.decode(dataclasses.replace(merged, ids=merged.ids + 5))
    with pytest.raises(FingerprintError, match="truncate"):
        bpe.truncate(4).decode(merged)


def test_encoding_refuses_others_tokens() -> None:
    bpe = UnitBPE((4,), [(0, 1)], tokenizer_fingerprint=MARK)
    with pytest.raises(FingerprintError, match="were made by tokenizer ffff"):
        bpe.encode(tokens_of([0], (4,), fingerprint="f" * 32))
    with pytest.raises(CodeRangeError, match=r"give tokens\.first\(1\)"):
        bpe.encode(tokens_of([[0], [0]], (4, 4)))


def test_patterns_that_make_no_sense_are_refused() -> None:
    for pattern, sizes in [("single", (2, 2)), ("frame", (4,)), ("diagonal", (4,))]:
        with pytest.raises(CodectokError, match=pattern):
            UnitBPE(sizes, [], pattern=pattern, tokenizer_fingerprint=MARK)


# -- files ---------------------------------------------------------------------------------------------------------


def test_files_round_trip(tmp_path: Path) -> None:
    bpe = train_bpe(some_tokens((5, 4)), 30, trained_on={"inputs": ["störe"]})
    bpe.save(tmp_path / "model")
    again = UnitBPE.load(tmp_path / "model")
    assert np.array_equal(again.merges, bpe.merges)
    for name in ("codebook_sizes", "pattern", "dedup", "tokenizer_fingerprint", "trained_on", "fingerprint"):
        assert getattr(again, name) == getattr(bpe, name), name
    assert again.trained_on["utterances"] == 30
    assert again.trained_on["inputs"] == ["störe"]


def test_fingerprint_is_of_all_that_decides_the_ids() -> None:
    facts: dict[str, Any] = {"pattern": "flatten", "dedup": True, "tokenizer_fingerprint": MARK}
    base = UnitBPE((4, 3), [(0, 4)], **facts)
    assert base.fingerprint == UnitBPE([4, 3], [(0, 4)], **facts, trained_on={"a": 1}).fingerprint
    others = [
        UnitBPE((3, 4), [(0, 4)], **facts),
        UnitBPE((4, 3), [(0, 5)], **facts),
        UnitBPE((4, 3), [], **facts),
        *(
            UnitBPE((4, 3), [(0, 4)], **{**facts, **change})
            for change in ({"pattern": "frame"}, {"dedup": False}, {"tokenizer_fingerprint": "f" * 32})
        ),
    ]
    assert len({b.fingerprint for b in [base, *others]}) == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "does not hold a BPE"),
        ({"format_version": 2}, "format_version 2"),
        ({"merges": [[0, 99]]}, "damaged"),
        ({"merges": None}, "damaged"),
        ({"codebook_sizes": []}, "damaged"),
        ({"pattern": "diagonal"}, "damaged"),
        ({"num_symbols": 3}, "damaged"),
        ({"vocab_size": 3}, "damaged"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    UnitBPE((4,), [(0, 1)], tokenizer_fingerprint=MARK).save(tmp_path)
    path = tmp_path / "bpe.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(FormatError, match=message):
        UnitBPE.load(tmp_path)
    path.write_text("{")
    with pytest.raises(FormatError, match="not valid JSON"):
        UnitBPE.load(tmp_path)
    path.unlink()
    with pytest.raises(FormatError, match="codectok units bpe"):
        UnitBPE.load(tmp_path)


# -- of a tokenizer -------------------------------------------------------------------------------------------------


def test_tokenizers_find_their_bpe(tmp_path: Path) -> None:
    tok = codectok.load("random")
    assert bpe_of(tok) is None
    sizes = tok.codebook_sizes[:1]
    UnitBPE(sizes, [(0, 1)], tokenizer_fingerprint=tok.fingerprint).save(tmp_path)
    tok.folder = tmp_path
    bpe = bpe_of(tok)
    assert bpe is not None
    tokens = tok.encode(np.zeros(16000, np.float32), 16000, num_codebooks=1)
    assert bpe.decode(bpe.encode(tokens)) == tokens


def test_tokenizers_refuse_the_bpe_of_others(tmp_path: Path) -> None:
    tok = codectok.load("random")
    tok.folder = tmp_path
    UnitBPE(tok.codebook_sizes[:1], [(0, 1)], tokenizer_fingerprint="f" * 32).save(tmp_path)
    with pytest.raises(FingerprintError, match="not of random"):
        bpe_of(tok)
    UnitBPE((3,), [(0, 1)], tokenizer_fingerprint=tok.fingerprint).save(tmp_path)
    with pytest.raises(CodeRangeError, match="does not have"):
        bpe_of(tok)
