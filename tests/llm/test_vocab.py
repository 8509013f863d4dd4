"""AudioVocab: ids by arithmetic, exact both ways, against a reference that counts one id after another."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.errors import CodeRangeError, FingerprintError, FormatError
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.tags import Mark, TimeTags, speechx_tags, viola_tags, whisper_tags
from codectok.tokens import Tokens


def counted(vocab: AudioVocab) -> dict[tuple[int, int], int]:
    """(codebook, code) -> id by going through the ids in order: the slow, obvious reference."""
    pairs: list[tuple[int, int] | None] = []
    if vocab.order == "codebook-major":
        for k, size in enumerate(vocab.codebook_sizes):
            pairs += [(k, c) for c in range(size)] + [None] * vocab.reserved
    else:
        for c in range(max(vocab.codebook_sizes)):
            pairs += [(k, c) if c < size else None for k, size in enumerate(vocab.codebook_sizes)]
    assert len(pairs) == vocab.size
    return {pair: vocab.base_id + i for i, pair in enumerate(pairs) if pair is not None}


@st.composite
def vocabs(draw: st.DrawFn) -> AudioVocab:
    k = draw(st.integers(1, 32))
    sizes = draw(st.lists(st.integers(1, 16), min_size=k, max_size=k))
    order = draw(st.sampled_from(["codebook-major", "code-major"]))
    reserved = draw(st.integers(0, 5)) if order == "codebook-major" else 0
    return AudioVocab("v", tuple(sizes), draw(st.integers(0, 2**34)), order=order, reserved=reserved)


def some_codes(vocab: AudioVocab, frames: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, n, frames) for n in vocab.codebook_sizes])


@settings(max_examples=40, deadline=None)
@given(vocabs(), st.integers(0, 200), st.integers(0, 2**32))
def test_ids_are_those_counted_one_by_one_and_come_back(vocab: AudioVocab, frames: int, seed: int) -> None:
    codes = some_codes(vocab, frames, seed)
    ids = vocab.ids(codes)
    reference = counted(vocab)
    assert ids.dtype == np.int64
    assert ids.shape == codes.shape
    assert ids.tolist() == [[reference[k, int(c)] for c in row] for k, row in enumerate(codes)]
    assert np.array_equal(vocab.codes(ids), codes)
    assert torch.equal(vocab.codes(vocab.ids(torch.from_numpy(codes))), torch.from_numpy(codes))


@settings(max_examples=20, deadline=None)
@given(vocabs(), st.integers(0, 20), st.sampled_from([np.int16, np.uint16, np.int32, np.uint8]))
def test_batches_and_every_integer_type(vocab: AudioVocab, frames: int, kind: type) -> None:
    codes = np.stack([some_codes(vocab, frames, seed) for seed in range(3)])
    ids = vocab.ids(codes.astype(kind))
    assert np.array_equal(ids, np.stack([vocab.ids(one) for one in codes]))
    assert np.array_equal(vocab.codes(torch.from_numpy(ids)).numpy(), codes)


@settings(max_examples=40, deadline=None)
@given(vocabs(), st.data())
def test_names_and_ids_are_one_to_one(vocab: AudioVocab, data: st.DataObject) -> None:
    tokens = vocab.tokens()
    assert len(tokens) == len(set(tokens)) == vocab.size
    at = data.draw(st.integers(0, vocab.size - 1))
    assert vocab.token(vocab.base_id + at) == tokens[at]
    block, _ = vocab.layout.classify(np.array([vocab.base_id + at]))
    assert vocab.id(tokens[at]) == (vocab.base_id + at if block[0] >= 0 else None)


@pytest.mark.parametrize("order", ["codebook-major", "code-major"])
def test_a_code_outside_its_codebook_is_named(order: str) -> None:
    vocab = AudioVocab("v", (4, 8), 100, order=order)
    good = np.array([[0, 3], [7, 0]])
    assert vocab.ids(good).shape == (2, 2)
    for bad in ([[0, 4], [0, 0]], [[0, 0], [8, 0]], [[-1, 0], [0, 0]]):
        with pytest.raises(CodeRangeError, match=r"code -?\d of codebook \d at frame \d is outside"):
            vocab.ids(np.array(bad))
        with pytest.raises(CodeRangeError):
            vocab.ids(torch.tensor(bad))
    with pytest.raises(CodeRangeError, match=r"expected \[2, T\]"):
        vocab.ids(np.zeros((3, 5), dtype=int))
    with pytest.raises(FormatError, match="not integers"):
        vocab.ids(np.zeros((2, 5)))
    with pytest.raises(FormatError, match="not integers"):
        vocab.ids(torch.zeros(2, 5))


def test_an_id_in_another_row_or_outside_is_refused() -> None:
    for vocab in (AudioVocab("v", (4, 8), 100), AudioVocab("v", (4, 8), 100, order="code-major")):
        ids = vocab.ids(np.array([[1], [2]]))
        for bad in (ids[::-1], ids - 100, ids + vocab.size):
            with pytest.raises(CodeRangeError, match="parse"):
                vocab.codes(bad)


def test_code_zero_and_the_last_code_count() -> None:
    vocab = AudioVocab("v", (4096,) * 7, 128266)
    ids = vocab.ids(np.array([[0, 4095]] * 7))
    assert ids[:, 0].tolist() == [128266 + 4096 * k for k in range(7)]
    assert ids[6, 1] == 128266 + 7 * 4096 - 1


def test_owns_is_a_closed_range() -> None:
    vocab = AudioVocab.create((4,), 10, timestamps=3)
    assert vocab.owns(np.arange(22)).nonzero()[0].tolist() == list(range(10, 19))
    assert not vocab.owns(np.array([-1, 2**40])).any()


def test_streams_one_by_one() -> None:
    vocab = AudioVocab("v", (4, 8), 100, framed=False)
    assert vocab.stream_ids(1, np.array([0, 7])).tolist() == [104, 111]
    assert vocab.stream_codes(1, torch.tensor([104, 111])).tolist() == [0, 7]
    with pytest.raises(CodeRangeError, match="codebook 0 at frame 1"):
        vocab.stream_ids(0, np.array([0, 4]))
    with pytest.raises(CodeRangeError, match="no codebook 2"):
        vocab.stream_ids(2, np.array([0]))


def test_slots_that_share_the_ids_of_their_stream() -> None:
    vocab = AudioVocab("step", (16, 16, 32, 32, 32), 50, slots=(0, 0, 1, 1, 1), shared=True)
    assert vocab.size == 48
    assert vocab.ids(np.array([[1], [2], [3], [4], [5]])).ravel().tolist() == [51, 52, 69, 70, 71]
    assert vocab.tokens()[:2] + vocab.tokens()[-1:] == ["<|audio_0_0|>", "<|audio_0_1|>", "<|audio_1_31|>"]
    assert [vocab.id(t) for t in vocab.tokens()] == list(range(50, 98))


def test_tokens_of_another_tokenizer_are_refused() -> None:
    vocab = AudioVocab("v", (4,), 10, tokenizer_fingerprint="a")
    tokens = Tokens(torch.tensor([[1, 2]]), 2, 2, Fraction(1), (4,), "a")
    assert vocab.ids(tokens).tolist() == [[11, 12]]
    with pytest.raises(FingerprintError, match="encode the audio with that one"):
        vocab.ids(dataclasses.replace(tokens, fingerprint="b"))


def test_created_vocabulary_is_one_run_of_ids() -> None:
    tags = [*whisper_tags(("en", "de")), *speechx_tags(), *viola_tags()]
    vocab = AudioVocab.create((8, 8), 1000, tags=tags, timestamps=1501, pad_multiple=64)
    entries = vocab.entries()
    assert [entry.id for entry in entries] == list(range(1000, vocab.end_id))
    assert entries[16:21] == [
        (1016, "<|audio_start|>", True),
        (1017, "<|audio_end|>", True),
        (1018, "<|transcribe|>", True),
        (1019, "<|translate|>", True),
        (1020, "<|notimestamps|>", True),
    ]
    assert vocab.markers["begin"] == 1016
    assert vocab.markers["tse"] == vocab.id("<tse>")
    assert entries[0] == (1000, "<|audio_0_0|>", False)
    assert vocab.rows % 64 == 0
    assert vocab.end_id <= vocab.rows < vocab.end_id + 64


def test_timestamps() -> None:
    times = TimeTags(100)
    assert [times.token(times.id(s)) for s in (0, 0.02, 1.12, 1.129, 30)] == [
        "<|0.00|>", "<|0.02|>", "<|1.12|>", "<|1.12|>", "<|30.00|>",
    ]  # fmt: skip
    assert times.seconds(times.id(1.12)) == 1.12
    assert times.seconds(99) is None
    assert [times.read(name) for name in ("<|1.12|>", "<|1.13|>", "<|30.02|>", "<|01.12|>")] == [156, None, None, None]
    for bad in (-0.1, 30.02, float("nan"), float("inf")):
        with pytest.raises(CodeRangeError, match="from 0 to 30 s"):
            times.id(bad)


def test_saved_and_loaded_is_the_same_and_hashes_the_same(tmp_path: Path) -> None:
    vocab = AudioVocab.create((8, 4), 1000, tags=whisper_tags(), timestamps=5, tokenizer_fingerprint="f")
    vocab.save(tmp_path)
    again = AudioVocab.load(tmp_path)
    assert again == vocab
    assert hash(again) == hash(vocab)
    assert again.fingerprint == vocab.fingerprint
    changed = [
        dataclasses.replace(vocab, **change)
        for change in ({"framed": False}, {"pad_multiple": 8}, {"tokenizer_fingerprint": "g"}, {"name": "w"})
    ]
    assert len({vocab.fingerprint, *(other.fingerprint for other in changed)}) == 5


@pytest.mark.parametrize("damage", ["{", "[]", '{"format_version": 9}', '{"format_version": 1}', "unknown"])
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, damage: str) -> None:
    plain = AudioVocab("v", (4,), 10).to_dict()
    (tmp_path / "audio_vocab.json").write_text(json.dumps({**plain, "x": 1}) if damage == "unknown" else damage)
    with pytest.raises(FormatError) as caught:
        AudioVocab.load(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(FormatError, match="codectok llm extend"):
        AudioVocab.load(tmp_path / "missing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codebook_sizes": ()}, "codebook sizes"),
        ({"codebook_sizes": (0,)}, "codebook sizes"),
        ({"order": "row-major"}, "order"),
        ({"order": "code-major", "reserved": 1}, "reserved"),
        ({"slots": (0, 2)}, "slots"),
        ({"codebook_sizes": (4, 5), "slots": (0, 0), "shared": True}, "share"),
        ({"templates": ("<{c}>",)}, "add {k}"),
        ({"templates": ("<{c}>", "<{c}>")}, "add {k}"),
        ({"templates": ("c{k}_{c}",)}, "end in a fixed character"),
        ({"templates": ("<{k}{c}>",)}, "run into each other"),
        ({"templates": ("<{k}0{c}>",)}, "run into each other"),
        ({"templates": ("<{x}>",)}, "fields"),
        ({"templates": ("<{c:03d}_{k}>",)}, "fields"),
        ({"templates": ("<audio>",)}, "no code"),
        ({"templates": ("<{k}>", "<{k}>", "<{k}>")}, "3 name templates"),
        ({"templates": ("{char}",), "first_number": 0xD7FF}, "printable"),
        ({"marks": (Mark("a", "<a>", 5), Mark("b", "<b>", 5))}, "same id"),
        ({"marks": (Mark("a", "<a>", 5), Mark("a", "<b>", 6))}, "same role"),
        ({"marks": (Mark("a", "<a>", 5), Mark("b", "<a>", 6))}, "same token"),
        ({"marks": (Mark("a", "<a>", 11),)}, "a code's"),
        ({"marks": (Mark("a", "<|audio_0_1|>", 5),)}, "name of a code"),
        ({"marks": (Mark("a", "", 5),)}, "no name"),
        ({"timestamps": TimeTags(12)}, "run into those of the codes"),
    ],
)
def test_descriptions_that_contradict_themselves(change: dict[str, object], message: str) -> None:
    fields: dict[str, object] = {"name": "v", "codebook_sizes": (4, 4), "base_id": 10, **change}
    with pytest.raises(FormatError, match=message):
        AudioVocab(**fields)  # type: ignore[arg-type]
