"""Training: prefixes, determinism, and the tokenizers library as the oracle of segmentation; Hugging Face export."""

from __future__ import annotations

import json
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, trainers
from transformers import AutoTokenizer

from codectok.errors import CodectokError, CodeRangeError, FingerprintError
from codectok.transforms.bpe_huggingface import CHARACTERS, from_text, to_text
from codectok.transforms.unit_bpe import UnitBPE
from kmeans_units.bpe import train_bpe, train_merges
from kmeans_units.merge_training import learn_merges
from tests.units.bpe_reference import markov
from tests.units.test_bpe import MARK, some_tokens, tokens_of


def unit_like(num_symbols: int, seed: int = 0, count: int = 40, length: int = 100) -> list[np.ndarray]:
    return list(markov(np.random.default_rng(seed), num_symbols, count * length).reshape(count, length))


def bpe_of(num_symbols: int, merges: np.ndarray) -> UnitBPE:
    return UnitBPE((num_symbols,), merges, dedup=False, tokenizer_fingerprint=MARK)


def train_slowly(sequences: list[list[int]], num_symbols: int, room: int) -> list[tuple[int, int]]:
    """The commonest pair, of equal counts that of the lowest ids, again and again."""
    merges: list[tuple[int, int]] = []
    spelled: dict[tuple[int, ...], int] = {(s,): s for s in range(num_symbols)}
    spelling = {i: s for s, i in spelled.items()}
    while len(merges) < room:
        counts = Counter(pair for s in sequences for pair in pairwise(s))
        pair = min(counts, key=lambda p: (-counts[p], p))
        whole = spelling[pair[0]] + spelling[pair[1]]
        if whole not in spelled:
            spelled[whole] = num_symbols + len(merges)
            spelling[spelled[whole]] = whole
            merges.append(pair)
        for s in sequences:
            i = 0
            while i < len(s) - 1:
                if (s[i], s[i + 1]) == pair:
                    s[i : i + 2] = [spelled[whole]]
                i += 1
    return merges


@pytest.mark.parametrize("seed", range(5))
def test_merges_are_those_of_the_definition(seed: int) -> None:
    sequences = [s[np.flatnonzero(np.diff(s, prepend=-1))] for s in unit_like(12, seed, 20)]
    expected = train_slowly([s.tolist() for s in sequences], 12, 40)
    assert [tuple(m) for m in train_merges(sequences, 12, 52).tolist()] == expected


def test_smaller_vocabularies_are_prefixes() -> None:
    many = some_tokens((9,), count=60)
    whole = train_bpe(many, 60)
    for size in (10, 25, 40, 59, 60):
        alone = train_bpe(many, size)
        assert alone.vocab_size == size
        assert alone.fingerprint == whole.truncate(size).fingerprint
        assert alone.encode_batch(many) == whole.truncate(size).encode_batch(many)
    assert whole.truncate(9).encode(many[0]).ids.tolist() == many[0].dedup().codes[0].tolist()
    for size in (8, 61):
        with pytest.raises(CodectokError, match="from 9"):
            whole.truncate(size)


def test_training_is_deterministic() -> None:
    sequences = unit_like(30, count=100)
    merges = [train_merges(sequences, 30, 200) for _ in range(3)]
    assert all(np.array_equal(m, merges[0]) for m in merges)


@pytest.mark.parametrize("shift", [0, 0xD7F0, 60_000, 2**31 - 1000])
def test_merges_do_not_depend_on_which_symbols(shift: int) -> None:
    """Over surrogates, spaces, combining marks, beyond Unicode: symbols are numbers."""
    sequences = unit_like(30)
    num_symbols = shift + 30
    plain, far = (
        train_merges(sequences, 30, 130),
        train_merges([s + shift for s in sequences], num_symbols, num_symbols + 100),
    )
    moved = np.where(plain < 30, plain + shift, plain - 30 + num_symbols)
    assert np.array_equal(far, moved)


def library_merges(sequences: list[np.ndarray], num_symbols: int, size: int) -> list[list[int]]:
    """Of the tokenizers library; another way to spell a token that there is makes none."""
    tokenizer = Tokenizer(models.BPE())
    texts = [to_text(np.arange(num_symbols))] + [to_text(s) for s in sequences]  # so that every symbol comes up
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=3, special_tokens=[], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    found: list[list[int]] = []
    ids = {to_text([s]): s for s in range(num_symbols)}
    for left, right in json.loads(tokenizer.to_str())["model"]["merges"]:
        if left + right not in ids:
            ids[left + right] = num_symbols + len(found)
            found.append([ids[left], ids[right]])
    return found


@settings(max_examples=60, deadline=None)
@given(num_symbols=st.integers(2, 30), seed=st.integers(0, 2**32), lengths=st.lists(st.integers(0, 300), max_size=6))
def test_merges_are_the_librarys(num_symbols: int, seed: int, lengths: list[int]) -> None:
    rng = np.random.default_rng(seed)
    sequences = [rng.integers(0, num_symbols, n) ** 2 % num_symbols for n in lengths]
    theirs = library_merges(sequences, num_symbols, num_symbols + 60)
    ours = learn_merges([np.arange(num_symbols), *sequences], num_symbols, 60, 3)
    assert ours[: len(theirs)] == theirs


def test_every_token_spells_something_else() -> None:
    # (ab, c) and (a, bc) both spell abc: the second makes no token of its own and is left out.
    sequences = [np.array([0, 1, 2])] * 9 + [np.array([0, 1])] * 20 + [np.array([1, 2])] * 15 + [np.array([0, 1, 2, 0])]
    merges = learn_merges(sequences, 3, 9, 1)
    spelled: list[tuple[int, ...]] = [(0,), (1,), (2,)]
    for left, right in merges:
        spelled.append(spelled[left] + spelled[right])
    assert len(set(spelled)) == len(spelled)


def test_training_is_linear() -> None:
    """One utterance of 400,000 symbols: removing symbols one by one took minutes."""
    rng = np.random.default_rng(0)
    whole = markov(rng, 50, 400_000)
    started = time.process_time()
    one = learn_merges([whole], 50, 300, 2)
    middle = time.process_time()
    many = learn_merges(list(whole.reshape(4000, 100)), 50, 300, 2)
    assert len(one) == len(many) == 300
    assert middle - started < 5 * (time.process_time() - middle) + 1


def test_frequencies_bound_the_vocabulary() -> None:
    sequences = [np.array([0, 1, 2, 0, 1, 3])]
    assert train_merges(sequences, 4, 5).tolist() == [[0, 1]]
    with pytest.raises(CodectokError, match="vocabulary of 5 at most, 6 asked for"):
        train_merges(sequences, 4, 6)
    assert len(train_merges(sequences, 4, 6, min_frequency=1)) == 2
    with pytest.raises(CodectokError, match="no room"):
        train_merges(sequences, 4, 4)
    with pytest.raises(CodectokError, match="at most"):
        train_merges([], 4, 6)


def test_training_data_must_be_alike() -> None:
    with pytest.raises(CodectokError, match="no tokens"):
        train_bpe([], 10)
    with pytest.raises(FingerprintError, match="two tokenizers"):
        train_bpe([tokens_of([0], (4,)), tokens_of([0], (4,), fingerprint="f" * 32)], 10)
    with pytest.raises(CodeRangeError, match="--codebooks"):
        train_bpe([tokens_of([0], (4,)), tokens_of([[0], [0]], (4, 4))], 10)


def test_training_sees_runs_as_asked() -> None:
    runs = [tokens_of([0, 0, 0, 1, 1, 1] * 4, (2,))]
    assert train_bpe(runs, 3).merges.tolist() == [[0, 1]]
    assert train_bpe([t.dedup() for t in runs], 3).merges.tolist() == [[0, 1]]
    for given_ in (runs, [t.dedup() for t in runs]):
        assert train_bpe(given_, 3, dedup=False).merges.tolist() == [[0, 0]]


# -- the library's segmentation ---------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(num_symbols=st.integers(2, 40), seed=st.integers(0, 2**32), room=st.integers(1, 60))
def test_segmentation_is_the_librarys(num_symbols: int, seed: int, room: int) -> None:
    rng = np.random.default_rng(seed)
    sequences = unit_like(num_symbols, seed, 10)
    bpe = bpe_of(num_symbols, train_merges(sequences, num_symbols, num_symbols + room, min_frequency=1))
    names = [to_text(p) for p in bpe.pieces()]
    merges = [(names[a], names[b]) for a, b in bpe.merges.tolist()]
    library = Tokenizer(models.BPE(vocab={n: i for i, n in enumerate(names)}, merges=merges))
    symbols = [*sequences, rng.integers(0, num_symbols, 300), np.zeros(50, np.int64), np.repeat(sequences[0], 3)]
    theirs = [e.ids for e in library.encode_batch([to_text(s) for s in symbols])]
    assert [i.tolist() for i in bpe.encode_ids(symbols)] == theirs


@pytest.mark.parametrize("num_symbols", [30, 7000, pytest.param(70_000, marks=pytest.mark.slow)])
def test_hugging_face_tokenizers_segment_alike(tmp_path: Path, num_symbols: int) -> None:
    sequences = [num_symbols - 30 + s for s in unit_like(30)]
    bpe = bpe_of(num_symbols, train_merges(sequences, num_symbols, num_symbols + 150))
    rng = np.random.default_rng(0)
    sequences += [rng.integers(0, num_symbols, 50), np.full(9, num_symbols - 1)]
    bpe.save_hf(tmp_path / "hf")
    ours = [i.tolist() for i in bpe.encode_ids(sequences)]
    for hf in (bpe.to_hf(), AutoTokenizer.from_pretrained(tmp_path / "hf")):
        texts = [to_text(s) for s in sequences]
        assert hf(texts)["input_ids"] == ours
        assert hf(texts, add_special_tokens=False)["input_ids"] == ours
        assert [hf.decode(i) for i in ours] == texts
        assert len(hf) == bpe.vocab_size
    assert not [p for p in (tmp_path / "hf").iterdir() if "tmp" in p.name]


def test_text_form_is_one_to_one_and_inert() -> None:
    import unicodedata

    everything = to_text(np.arange(len(CHARACTERS)))
    assert len(set(everything)) == len(CHARACTERS) == 137_468
    assert np.array_equal(from_text(everything), np.arange(len(CHARACTERS)))
    assert all(unicodedata.normalize(form, everything) == everything for form in ("NFC", "NFD", "NFKC", "NFKD"))
    assert {unicodedata.category(c) for c in everything} == {"Co"}
    with pytest.raises(CodeRangeError, match="have a character"):
        to_text([len(CHARACTERS)])
    with pytest.raises(CodeRangeError, match=r"U\+0061 at 1"):
        from_text(to_text([3]) + "a")


def test_export_refuses_what_text_cannot_hold() -> None:
    with pytest.raises(CodectokError, match="no text form"):
        bpe_of(200_000, np.array([[0, 1]])).to_hf()
    with pytest.raises(CodectokError, match="spell the same"):
        bpe_of(3, np.array([[0, 1], [1, 2], [3, 2], [0, 4]])).to_hf()
