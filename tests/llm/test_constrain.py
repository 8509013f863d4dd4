"""Constrained generation, one stream: what fits its slot, complete frames, ends where they may be, no padded rows."""

from __future__ import annotations

import random

import pytest
import torch

from codectok.errors import FormatError
from codectok.llm.generate.logits import AllowList, AudioGrammar, GrammarMask, logits_processor
from codectok.llm.patterns import Delay, Flatten, MultiRate, Sections
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.parse import parse
from codectok.llm.vocab.presets import preset
from tests.llm.constrained import PADDED, TEXT, grammars, llama, sequence, vocab

pytest.importorskip("transformers")
LIMITS = {"min_frames": 1, "max_frames": 6}


def audio_of(grammar: AudioGrammar, ids: list[int]) -> tuple[torch.Tensor, int]:
    """Codes of the one audio in a sequence, read by the pattern's inverse, and the place of its end; or an error."""
    first = ids.index(grammar.begin)
    last = ids.index(grammar.end)
    said = torch.tensor(ids[first + 1 : last])[None]
    book_ids = grammar.pattern.inverse(said, grammar.codebooks)
    return grammar.vocab.codes(book_ids), last


def check(name: str, batch: int, seed: int, limits: dict[str, int] = LIMITS) -> int:
    grammar = grammars(**limits)[name]
    model = llama(grammar.vocab.end_id + PADDED)
    torch.manual_seed(seed)
    prompts = torch.randint(2, TEXT, (batch, 3))
    prompts[:, 0] = 0  # padding on the left
    prompts[:, 2] = grammar.begin
    longest = 1 + grammar.pattern.length(6, grammar.codebooks)
    said = model.generate(
        prompts,
        attention_mask=(prompts != 0).long(),
        do_sample=True,
        top_k=0,
        max_new_tokens=longest,
        eos_token_id=grammar.end,
        pad_token_id=0,
        logits_processor=logits_processor(grammar),
    )
    lengths = set()
    for ids in said.tolist():
        codes, _ = audio_of(grammar, ids)
        assert ids[: 3 + grammar.pattern.length(codes.shape[1], grammar.codebooks) + 1][2:] == sequence(grammar, codes)
        lengths.add(codes.shape[1])
        if grammar.pattern in (Flatten(), MultiRate((0, 1, 2, 2, 1, 2, 2))):
            parsed, report = parse(grammar.vocab, torch.tensor(ids))
            assert report.clean
            assert torch.equal(parsed, codes)
    low, high = (4, 4) if grammar.num_frames else (1, 6)
    assert low <= min(lengths) <= max(lengths) <= high
    if not grammar.num_frames:
        assert len(lengths) > 1, "lengths never vary: the end is not free"
    return len(said)


NAMES = list(grammars())


@pytest.mark.parametrize("name", NAMES)
def test_every_generation_is_complete_frames(name: str) -> None:
    assert check(name, 12, 0) == 12


@pytest.mark.slow
def test_a_thousand_generations_are_complete_frames() -> None:
    assert sum(check(name, 80, 1) for name in NAMES) >= 1000


@pytest.mark.parametrize("name", NAMES)
def test_every_arrangement_may_be_said_and_nothing_else_may(name: str) -> None:
    """Walk true sequences: each next id is allowed, and no id of another codebook, padded row or misplaced end is."""
    grammar = grammars(**LIMITS)[name]
    allow, of = AllowList(grammar), grammar.vocab
    book_of = {int(i): k for k, n in enumerate(of.codebook_sizes) for i in of.stream_ids(k, torch.arange(n)).tolist()}
    rng = torch.Generator().manual_seed(0)
    for frames in (4,) if grammar.num_frames else (1, 2, 6):
        codes = torch.stack([torch.randint(0, n, (frames,), generator=rng) for n in of.codebook_sizes])
        ids = sequence(grammar, codes)
        _, frame = grammar.pattern.cells(torch.arange(len(ids)).numpy(), grammar.codebooks, frames)
        for i in range(1, len(ids)):
            may = set(allow(0, [3, *ids[:i]]))
            assert ids[i] in may
            if ids[i] not in (grammar.end, grammar.separator):
                turn = {b for b in book_of if book_of[b] == book_of[ids[i]]}
                marks = may - turn
                assert marks <= {grammar.end, grammar.separator}
                whole = frame[0, i - 1] >= 1 and (i - 1) % grammar.codebooks == 0
                if marks and not grammar.pattern.needs_length:
                    assert whole
            else:
                assert may <= {ids[i], *book_of}
                if frames in (4, 6) and (frames == 6 or grammar.num_frames):
                    assert may == {ids[i]}  # nothing but the end is left
        assert set(allow(0, [3, *ids])) & set(book_of) == set()


def test_text_mode_forbids_audio_and_padded_rows() -> None:
    of = vocab(5, 6)
    mask = GrammarMask(AudioGrammar(of, text_size=of.end_id))
    scores = mask(torch.tensor([[3, 4], [of.markers["begin"], 5]]), torch.zeros(2, of.end_id + PADDED))
    fine = torch.isfinite(scores)
    assert fine[0].nonzero()[:, 0].tolist() == [*range(TEXT), of.markers["begin"]]
    assert not fine[:, of.end_id :].any()
    silent = AudioGrammar(of, text_size=of.end_id, speak=False, also=(of.markers["transcribe"],))
    fine = torch.isfinite(GrammarMask(silent)(torch.tensor([[3, 4]]), torch.zeros(1, of.end_id)))
    assert fine[0].nonzero()[:, 0].tolist() == [*range(TEXT), of.markers["transcribe"]]


def test_text_behind_the_audio_tokens_is_text_and_rows_behind_that_are_not() -> None:
    of = vocab(5, 6)
    fine = AllowList(AudioGrammar(of, text_size=of.end_id + 2))(0, [3])
    assert fine == [*range(TEXT), of.markers["begin"], of.end_id, of.end_id + 1]


def test_the_allow_list_is_the_mask() -> None:
    rng = random.Random(0)
    for grammar in grammars(**LIMITS).values():
        mask, allow = GrammarMask(grammar), AllowList(grammar)
        everything = [*range(2, TEXT), *range(grammar.vocab.base_id, grammar.vocab.end_id)]
        for _ in range(20):
            ids = [grammar.begin] * rng.randint(0, 1) + [rng.choice(everything) for _ in range(rng.randint(1, 12))]
            scores = mask(torch.tensor([ids]), torch.zeros(1, grammar.vocab.end_id + PADDED))
            assert torch.isfinite(scores)[0].nonzero()[:, 0].tolist() == sorted(allow(0, ids))


def test_a_mask_keeps_nothing_between_uses_and_rows() -> None:
    """Rows in different places of different turns, reordered between steps as by a beam search, and a second use."""
    grammar = AudioGrammar(vocab(5, 6, 7), text_size=100)
    mask = GrammarMask(grammar)
    begin, end = grammar.begin, grammar.end
    rows = [[2, begin, 21], [begin, 20, 25], [2, 3, begin], [begin, end, 4]]
    scores = torch.zeros(4, grammar.vocab.end_id)
    once = mask(torch.tensor(rows), scores)
    alone = torch.cat([GrammarMask(grammar)(torch.tensor([row]), scores[:1]) for row in rows])
    assert torch.equal(once, alone)
    assert torch.equal(mask(torch.tensor(rows)[[3, 1, 0, 2]], scores), once[[3, 1, 0, 2]])
    assert torch.equal(mask(torch.tensor(rows), scores), once)
    assert not scores.any()


def test_a_prompt_may_stop_within_a_frame() -> None:
    grammar = AudioGrammar(vocab(5, 6, 7), text_size=100)
    prompt = sequence(grammar, torch.tensor([[0, 1], [0, 1], [0, 1]]))[:-2]  # without its last code and its end
    assert AllowList(grammar)(0, prompt) == grammar.lists()[2]


def test_several_audios_in_one_sequence_are_counted_apart() -> None:
    grammar = AudioGrammar(vocab(5, 6), text_size=100, max_frames=2, min_frames=1)
    first = sequence(grammar, torch.tensor([[1, 2], [3, 4]]))
    allow = AllowList(grammar)
    assert grammar.begin in allow(0, [*first, 4])
    assert allow(0, [*first, 4, grammar.begin]) == grammar.lists()[0]
    assert allow(0, [*first, 4, *first[:-1]]) == [grammar.end]


def test_text_and_audio_take_turns_in_a_generation() -> None:
    """Free sampling over text and audio: every audio that begins is complete, unless the budget ran out within it."""
    grammar = AudioGrammar(vocab(5, 6, 7), min_frames=1, max_frames=4, text_size=vocab(5, 6, 7).end_id)
    model = llama(grammar.vocab.end_id + PADDED)
    torch.manual_seed(3)
    said = model.generate(
        torch.full((8, 1), 5), do_sample=True, top_k=0, max_new_tokens=80, logits_processor=logits_processor(grammar)
    )
    audios = 0
    for ids in said.tolist():
        rest = ids
        while grammar.end in rest:
            codes, last = audio_of(grammar, rest)
            audios += 1
            assert 1 <= codes.shape[1] <= 4
            rest = rest[last + 1 :]
    assert audios > 8


def test_without_the_processor_frames_are_not_complete() -> None:
    """The check can fail: the same model left alone does not say complete frames."""
    grammar = grammars(**LIMITS)["flatten"]
    model = llama(grammar.vocab.end_id + PADDED)
    torch.manual_seed(0)
    said = model.generate(torch.full((4, 1), grammar.begin), do_sample=True, top_k=0, max_new_tokens=12)
    assert not all(parse(grammar.vocab, row)[1].clean for row in said)


def test_published_vocabularies() -> None:
    """Orpheus: slot k of a frame has the 4096 ids from 128266 + 4096 k on; LLaSA names its markers otherwise."""
    orpheus = preset("orpheus")
    allow = AllowList(AudioGrammar(orpheus, MultiRate.snac(), text_size=orpheus.end_id, max_frames=1))
    said = [5, 128257]
    for slot in range(7):
        first = 128266 + 4096 * slot
        assert allow(0, said) == [*range(first, first + 4096), *([128258] if slot == 0 else [])]
        said.append(first + 9)
    assert allow(0, said) == [128258]
    llasa = preset("llasa")
    with pytest.raises(FormatError, match="speech_generation_start"):
        AudioGrammar(llasa)
    grammar = AudioGrammar(llasa, roles=("speech_generation_start", "speech_generation_end"))
    assert AllowList(grammar)(0, [4, grammar.begin]) == [*range(128264, 128264 + 65536), grammar.end]
    with pytest.raises(FormatError, match="no common frame"):
        AudioGrammar(preset("spirit-lm"), roles=("begin", "text"))


def test_bad_grammars_are_errors() -> None:
    with pytest.raises(FormatError, match="several streams"):
        AudioGrammar(vocab(5, 6), Delay())
    with pytest.raises(FormatError, match="give num_frames"):
        AudioGrammar(vocab(5, 6), Sections())
    with pytest.raises(FormatError, match="separator"):
        AudioGrammar(vocab(5, 6), Sections(ends=True))
    with pytest.raises(FormatError, match="cannot both hold"):
        AudioGrammar(vocab(5, 6), min_frames=3, max_frames=2)
    with pytest.raises(FormatError, match="extend it first"):
        GrammarMask(AudioGrammar(vocab(5, 6)))(torch.tensor([[3]]), torch.zeros(1, 25))
    with pytest.raises(FormatError, match="no markers begin and end"):
        AudioGrammar(AudioVocab("bare", (5, 6), TEXT))
