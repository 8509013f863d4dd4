"""Parsing: clean sequences exactly, broken ones with the damage kept where it is, and all of it counted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok import load
from codectok.errors import FingerprintError, FormatError
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.parse import FrameParser, ParseReport, parse, parse_streams
from codectok.llm.vocab.presets import preset

VOCAB = AudioVocab.create((10, 20, 30), 100, timestamps=3)
SHARED = AudioVocab("step", (16, 16, 32, 32, 32), 50, slots=(0, 0, 1, 1, 1), shared=True)
TEXT, END = 7, VOCAB.markers["end"]


def frames(n: int, vocab: AudioVocab = VOCAB) -> tuple[torch.Tensor, list[int]]:
    codes = torch.stack([torch.arange(n) % size for size in vocab.codebook_sizes])
    return codes, vocab.flatten(vocab.ids(codes)).tolist()


def by_loop(vocab: AudioVocab, ids: list[int]) -> tuple[torch.Tensor, ParseReport]:
    parser = FrameParser(vocab)
    return parser.push(ids), parser.flush()


def test_a_clean_sequence_between_text_and_markers() -> None:
    codes, ids = frames(5)
    found, report = parse(VOCAB, [TEXT, VOCAB.markers["begin"], *ids, END, TEXT, TEXT])
    assert torch.equal(found, codes)
    assert report == ParseReport(frames=5, foreign=3, marks=2)
    assert report.clean


@pytest.mark.parametrize("slot", [0, 1, 2])
def test_a_missing_token_costs_its_frame_alone(slot: int) -> None:
    codes, ids = frames(6)
    del ids[2 * 3 + slot]
    found, report = parse(VOCAB, ids)
    assert torch.equal(found, codes[:, [0, 1, 3, 4, 5]])
    assert (report.frames, report.dropped) == (5, 2)
    assert report.first_bad == 6


@pytest.mark.parametrize("slot", [0, 1, 2])
def test_one_audio_token_too_many_costs_one_frame_at_most(slot: int) -> None:
    codes, ids = frames(6)
    for extra in (100, 110, 130):
        found, report = parse(VOCAB, [*ids[: 6 + slot], extra, *ids[6 + slot :]])
        others = [t for t in range(found.shape[1]) if t != 2 or found.shape[1] == 5]
        assert torch.equal(found[:, others], codes[:, [0, 1, 3, 4, 5]])
        assert report.dropped in (1, 4)
        assert report.dropped + 3 * report.frames == 19


def test_a_text_token_within_a_frame_is_passed_over_and_a_marker_ends_it() -> None:
    codes, ids = frames(3)
    found, report = parse(VOCAB, [*ids[:4], TEXT, *ids[4:]])
    assert torch.equal(found, codes)
    assert (report.foreign, report.dropped) == (1, 0)
    found, report = parse(VOCAB, [*ids[:4], END, *ids[4:]])
    assert torch.equal(found, codes[:, [0, 2]])
    assert (report.marks, report.dropped, report.resyncs) == (1, 3, 1)


def test_a_text_token_in_place_of_an_audio_token() -> None:
    codes, ids = frames(3)
    ids[4] = TEXT
    found, report = parse(VOCAB, ids)
    assert torch.equal(found, codes[:, [0, 2]])
    assert (report.dropped, report.first_bad) == (2, 3)


def test_an_unfinished_last_frame_is_dropped_and_counted() -> None:
    codes, ids = frames(3)
    found, report = parse(VOCAB, ids[:-1])
    assert torch.equal(found, codes[:, :2])
    assert (report.dropped, report.resyncs, report.first_bad) == (2, 1, 6)


@pytest.mark.parametrize("ids", [[], [TEXT], [END], [111], [100]])
def test_nothing_to_read(ids: list[int]) -> None:
    found, report = parse(VOCAB, ids)
    assert found.shape == (3, 0)
    assert found.dtype == torch.int64
    assert report.frames == 0


def test_a_vocabulary_added_later_is_not_audio() -> None:
    """Systems that test ``id >= audio_offset`` read every token added later as audio."""
    _, report = parse(VOCAB, [VOCAB.end_id, VOCAB.end_id + 500, 10**9])
    assert (report.foreign, report.dropped) == (3, 0)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([TEXT, END, 100, 105, 110, 129, 130, 159, VOCAB.end_id]), max_size=40), st.data())
def test_all_at_once_is_the_loop_and_any_pieces_are_the_whole(ids: list[int], data: st.DataObject) -> None:
    found, report = parse(VOCAB, ids)
    assert_same(found, report, *by_loop(VOCAB, ids))
    cut = data.draw(st.integers(0, len(ids)))
    parser = FrameParser(VOCAB)
    pieces = torch.cat([parser.push(ids[:cut]), parser.push(np.array(ids[cut:], dtype=np.int64))], dim=1)
    assert_same(found, report, pieces, parser.flush())
    audio = int(VOCAB.owns(np.array(ids, dtype=np.int64)).sum()) - report.marks
    assert report.dropped + 3 * report.frames == audio


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 20), st.data())
def test_damage_never_reaches_frames_far_from_it(n: int, data: st.DataObject) -> None:
    codes = torch.arange(n).repeat(3, 1) % 10
    ids = VOCAB.flatten(VOCAB.ids(codes)).tolist()
    at = data.draw(st.integers(0, len(ids) - 1))
    bad = data.draw(st.sampled_from([[], [TEXT], [END], [100, 100], [130], [110, 130]]))
    found, _ = parse(VOCAB, [*ids[:at], *bad, *ids[at + 1 :]])
    hit = at // 3
    after = n - 1 - hit
    assert torch.equal(found[:, :hit], codes[:, :hit])
    assert torch.equal(found[:, found.shape[1] - after :], codes[:, hit + 1 :])
    assert found.shape[1] - (n - 1) in (0, 1)


def assert_same(a: torch.Tensor, b: ParseReport, c: torch.Tensor, d: ParseReport) -> None:
    assert torch.equal(a, c)
    assert b == d


def test_slots_that_share_ids_resynchronise_too() -> None:
    codes, ids = frames(4, SHARED)
    found, report = parse(SHARED, ids)
    assert torch.equal(found, codes)
    for gone in range(5, 10):
        found, report = parse(SHARED, ids[:gone] + ids[gone + 1 :])
        assert torch.equal(found, codes[:, [0, 2, 3]])
        assert (report.dropped, report.resyncs) == (4, 1)


def test_every_orpheus_mistake_costs_a_frame_and_no_more() -> None:
    vocab = preset("orpheus")
    codes = torch.arange(7 * 9).reshape(9, 7).T
    ids = vocab.flatten(vocab.ids(codes)).tolist()
    for gone in range(28, 35):
        found, report = parse(vocab, ids[:gone] + ids[gone + 1 :])
        assert torch.equal(found, codes[:, [0, 1, 2, 3, 5, 6, 7, 8]])
        assert report.dropped == 6


def test_streams_without_frames() -> None:
    vocab = preset("spirit-lm")
    names = ["[Speech]", "[Hu99]", "[Pi13]", "[St81]", "[Hu38]", "[Text]"]
    ids = [vocab.id(name) or 0 for name in names]
    found, report = parse_streams(vocab, [5, *ids])
    assert [codes.tolist() for codes, _ in found] == [[99, 38], [13], [81]]
    assert [at.tolist() for _, at in found] == [[2, 5], [3], [4]]
    assert (report.frames, report.marks, report.foreign) == (4, 2, 1)
    with pytest.raises(FormatError, match="parse_streams"):
        parse(vocab, ids)
    with pytest.raises(FormatError, match="read it with parse"):
        parse_streams(VOCAB, ids)


def test_ids_that_are_no_ids() -> None:
    for bad in ([[1, 2]], [0.5], ["<|audio_0_1|>"]):
        with pytest.raises(FormatError, match="expected whole numbers"):
            parse(VOCAB, bad)  # type: ignore[arg-type]


def test_tokens_of_generated_ids_in_one_call() -> None:
    """Text, markers and a broken frame around two audios: their whole frames, at the tokenizer's rates."""
    tok = load("units")
    vocab = AudioVocab.create(tok.codebook_sizes, base_id=100, tokenizer_fingerprint=tok.fingerprint)
    codes = torch.arange(30).reshape(1, 30) % tok.codebook_sizes[0]
    flat = vocab.flatten(vocab.ids(codes)).tolist()
    ids = [5, vocab.markers["begin"], *flat[:20], vocab.markers["end"], 7, vocab.markers["begin"], *flat[20:]]
    for form in (ids, np.array([ids]), torch.tensor(ids)):
        tokens = vocab.to_tokens(form, tok)
        assert torch.equal(tokens.codes, codes)
        assert tokens.num_samples == 30 * 320
        assert len(tok.decode(tokens)) == 30 * 320
    assert vocab.to_tokens([5, 6], tok).codes.shape == (1, 0)
    with pytest.raises(FormatError, match="one sequence"):
        vocab.to_tokens(np.array([ids, ids]), tok)
    with pytest.raises(FingerprintError, match="made for"):
        vocab.to_tokens(ids, load("pcm"))


def test_tokens_of_several_codebooks_lose_what_is_broken() -> None:
    tok = load("speech")
    vocab = AudioVocab.create(tok.codebook_sizes[:3], base_id=100)
    codes = torch.arange(12).reshape(3, 4)
    flat = vocab.flatten(vocab.ids(codes)).tolist()
    del flat[4]
    assert torch.equal(vocab.to_tokens(flat, tok).codes, codes[:, [0, 2, 3]])
