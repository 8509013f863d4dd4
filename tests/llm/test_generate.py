"""Ids to text and sound as they come, and the whole road from a prompt through a model to audio."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.controls import PcmTokenizer, RandomTokenizer
from codectok.errors import CodectokError, CodeRangeError, FingerprintError, FormatError
from codectok.llm.generate.events import AudioPiece, Event, EventParser, TextPiece
from codectok.llm.generate.generation import IdStreamer, generate
from codectok.llm.patterns import Fill, Flatten, Sections
from codectok.llm.sequence.captions import caption_parts, read_caption
from codectok.llm.sequence.encoder import SequenceEncoder
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.tags import whisper_tags
from codectok.tokenizer import Tokenizer
from tests.llm.constrained import PADDED, grammars, llama, sequence
from tests.llm.text_tokenizers import with_audio

pytest.importorskip("transformers")


class Steps(Tokenizer):
    """Causal, with memory: two samples a frame, running sums of the codes, so that a lost frame is heard ever after."""

    name, sample_rate, frame_rate, causal = "steps", 8, Fraction(4), True
    codebook_sizes, fingerprint, feature_dim = (5, 6, 7), "steps", 1

    def num_frames(self, num_samples: int) -> int:
        return -(-num_samples // 2)

    def _encode(self, clips: Any, num_codebooks: int) -> Any:
        raise NotImplementedError

    def _features(self, clips: Any) -> Any:
        raise NotImplementedError

    def _decode(self, codes: Any, num_samples: Any) -> list[np.ndarray]:
        return [self.decode_step(None, c)[1].numpy()[:n] for c, n in zip(codes, num_samples, strict=True)]

    def decode_step(self, state: Any, codes: torch.Tensor, final: bool = False) -> tuple[Any, torch.Tensor]:
        total = (0.0 if state is None else state) + codes.float().sum(0).cumsum(0)
        return (total[-1] if len(total) else state), total.repeat_interleave(2)


def byte_tokenizer(vocab: AudioVocab) -> Any:
    """A token a byte, so that characters come in halves, and the audio tokens behind them."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    inner = Tokenizer(models.BPE(vocab=letters, merges=[]))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=inner)
    fast.add_tokens([AddedToken(e.token, normalized=False, special=e.special) for e in vocab.entries()])
    assert fast.convert_tokens_to_ids(vocab.token(vocab.base_id)) == vocab.base_id
    return fast


VOCAB = AudioVocab.create((5, 6, 7), 256)
CODES = torch.stack([torch.randint(0, n, (9,), generator=torch.Generator().manual_seed(n)) for n in (5, 6, 7)])


def speech(codes: torch.Tensor, of: AudioVocab = VOCAB) -> list[int]:
    return [of.markers["begin"], *of.flatten(of.ids(codes)).tolist(), of.markers["end"]]


def heard(events: list[Event]) -> np.ndarray:
    return np.concatenate([e.samples for e in events if isinstance(e, AudioPiece) and e.samples is not None])


def codes_of(events: list[Event]) -> torch.Tensor:
    return torch.cat([e.codes for e in events if isinstance(e, AudioPiece)], 1)


def text_of(events: list[Event]) -> str:
    return "".join(e.text for e in events if isinstance(e, TextPiece))


def whole(codes: torch.Tensor, tok: Tokenizer) -> np.ndarray:
    return tok.decode(tok.tokens(codes, 2 * codes.shape[1]))


@given(st.lists(st.integers(1, 200), max_size=8), st.sampled_from([0.0, 0.5, 2.0, 100.0]))
@settings(max_examples=30, deadline=None)
def test_any_chunking_gives_the_same_text_and_sound(cuts: list[int], chunk: float) -> None:
    tokenizer, tok = byte_tokenizer(VOCAB), Steps()
    said = tokenizer.encode("naïve 😀 ") + speech(CODES) + tokenizer.encode("und 漢字, é") + speech(CODES[:, :2])
    parser, events = EventParser(VOCAB, tokenizer, tok, chunk_seconds=chunk), []
    edges = [0, *sorted(min(c, len(said)) for c in cuts), len(said)]
    for i, edge in enumerate(edges[1:]):
        events += parser.push(said[edges[i] : edge])
    events += parser.finish()
    assert text_of(events) == "naïve 😀 und 漢字, é"
    assert "\ufffd" not in text_of(events)
    assert torch.equal(codes_of(events), torch.cat([CODES, CODES[:, :2]], 1))
    np.testing.assert_array_equal(heard(events), np.concatenate([whole(CODES, tok), whole(CODES[:, :2], tok)]))
    kinds = [e.last for e in events if isinstance(e, AudioPiece)]
    assert kinds.count(True) == 2
    assert kinds[-1]
    assert parser.dropped == 0
    order = [type(e) for e in events]
    assert order.index(AudioPiece) > 0
    assert TextPiece in order[order.index(AudioPiece) :]


TIMED = AudioVocab.create((5, 6, 7), 256, tags=whisper_tags(), timestamps=101)


@given(st.lists(st.text(max_size=6) | st.integers(0, 100), max_size=8))
@settings(max_examples=30, deadline=None)
def test_times_are_spelt_as_in_captions(pieces: list[str | int]) -> None:
    tokenizer, times = byte_tokenizer(TIMED), TIMED.timestamps
    assert times is not None
    said = [TIMED.markers["en"]]
    for piece in pieces:
        said += [times.base_id + piece] if isinstance(piece, int) else tokenizer.encode(piece)
    parser = EventParser(TIMED, tokenizer)
    text = text_of([*parser.push(said), *parser.finish()])
    assert text == "".join(f"{p / 50:.2f}s" if isinstance(p, int) else p for p in pieces)
    assert text == read_caption(tokenizer, TIMED, np.array(said, dtype=np.int64))


@pytest.mark.parametrize("kind", ["byte-level", "unigram"])
def test_captions_keep_their_spaces(kind: str) -> None:
    tokenizer, vocab = with_audio(kind, (8, 4))
    assert vocab.timestamps is not None
    caption = "the dog jumps at 0.50s over the fox, 0.30s 0.20s the end"
    said = SequenceEncoder(vocab, tokenizer)(caption_parts(caption, vocab.timestamps)).ids
    parser = EventParser(vocab, tokenizer)
    assert text_of([*parser.push(said.tolist()), *parser.finish()]) == caption


def test_tokens_may_be_asked_for_instead_of_times() -> None:
    tokenizer, times = byte_tokenizer(TIMED), TIMED.timestamps
    assert times is not None
    said = [TIMED.markers["en"], times.id(1.12)]
    parser = EventParser(TIMED, tokenizer, skip_special_tokens=False)
    assert text_of([*parser.push(said), *parser.finish()]) == "<|en|><|1.12|>"


def test_sound_comes_before_the_audio_is_over() -> None:
    parser = EventParser(VOCAB, None, Steps(), chunk_seconds=0)
    counts = [len(parser.push([id])) for id in speech(CODES)]
    assert counts == [0, *[0, 0, 1] * 9, 1]


def test_without_an_audio_tokenizer_codes_come() -> None:
    events = EventParser(VOCAB).push(speech(CODES))
    assert torch.equal(codes_of(events), CODES)
    assert all(e.samples is None for e in events if isinstance(e, AudioPiece))


def test_a_missing_token_costs_its_frame_and_is_counted() -> None:
    ids = speech(CODES)
    del ids[1 + 3 * 4 + 1]  # codebook 1 of frame 4
    parser = EventParser(VOCAB, None, Steps())
    events = [*parser.push([VOCAB.base_id, *ids]), *parser.finish()]
    kept = CODES[:, [0, 1, 2, 3, 5, 6, 7, 8]]
    assert torch.equal(codes_of(events), kept)
    np.testing.assert_array_equal(heard(events), whole(kept, Steps()))
    assert parser.dropped == 3  # two of the broken frame, one outside the markers


def test_an_audio_cut_within_a_frame_loses_that_frame() -> None:
    parser = EventParser(VOCAB, None, Steps())
    events = [*parser.push(speech(CODES)[:-2]), *parser.finish()]
    assert torch.equal(codes_of(events), CODES[:, :8])
    np.testing.assert_array_equal(heard(events), whole(CODES[:, :8], Steps()))
    assert parser.dropped == 2


@pytest.mark.parametrize("chunk", [0.0, 100.0])
def test_a_prompt_that_stops_within_audio_is_continued(chunk: float) -> None:
    ids, tok = [3, *speech(CODES)], Steps()
    for at in range(2, len(ids)):
        parser = EventParser(VOCAB, None, tok, chunk_seconds=chunk)
        parser.prime([*speech(CODES[:, :3]), *ids[:at]])
        events = [*parser.push(ids[at:]), *parser.finish()]
        given_frames = (at - 2) // 3
        assert torch.equal(codes_of(events), CODES[:, given_frames:])
        np.testing.assert_array_equal(heard(events), whole(CODES, tok)[2 * given_frames :])
    closed = EventParser(VOCAB, None, tok)
    closed.prime(speech(CODES))
    assert closed.push([5]) == closed.finish() == []


def test_sections_are_heard_once_their_last_comes() -> None:
    grammar = grammars()["coarse-first, separators"]
    tok = Steps()
    options = {"pattern": grammar.pattern, "separator": grammar.separator}
    events = EventParser(grammar.vocab, None, tok, **options).push(sequence(grammar, CODES))
    assert torch.equal(codes_of(events), CODES)
    np.testing.assert_array_equal(heard(events), whole(CODES, tok))
    parser = EventParser(VOCAB, None, tok, pattern=Sections(), num_frames=9)
    ids = Sections().apply(VOCAB.ids(CODES), Fill())[0].tolist()
    assert torch.equal(codes_of(parser.push([VOCAB.markers["begin"], *ids, VOCAB.markers["end"]])), CODES)
    with pytest.raises(CodeRangeError):
        EventParser(VOCAB, None, tok, pattern=Flatten((2, 1, 0))).push(speech(CODES))


def test_a_tokenizer_that_is_not_causal_gives_each_audio_whole() -> None:
    tok = Steps()
    tok.causal = False
    events = EventParser(VOCAB, None, tok, chunk_seconds=0).push(speech(CODES) + speech(CODES[:, :0]))
    assert [len(e.samples) for e in events if isinstance(e, AudioPiece) and e.samples is not None] == [18, 0]
    np.testing.assert_array_equal(heard(events), whole(CODES, tok))


def test_a_real_tokenizer_is_heard_as_by_decode() -> None:
    tok = PcmTokenizer()
    of = AudioVocab.create(tok.codebook_sizes, 300, tokenizer_fingerprint=tok.fingerprint)
    tokens = tok.encode(np.sin(np.arange(900) / 9).astype(np.float32), 16000)
    events = EventParser(of, None, tok, chunk_seconds=0.01).push(speech(tokens.codes, of))
    assert len(events) > 3
    np.testing.assert_array_equal(heard(events), tok.decode(tokens))


def test_tokenizers_that_do_not_fit_are_errors() -> None:
    with pytest.raises(FingerprintError, match="load the tokenizer"):
        EventParser(AudioVocab.create((256,), 9, tokenizer_fingerprint="other"), None, PcmTokenizer())
    with pytest.raises(FormatError, match="codebooks"):
        EventParser(VOCAB, None, PcmTokenizer())
    assert EventParser(AudioVocab.create(RandomTokenizer().codebook_sizes[:1], 9), None, None)


# -- with a model ---------------------------------------------------------------------------------------------------

ROWS = VOCAB.end_id + PADDED
BEGIN, END = VOCAB.markers["begin"], VOCAB.markers["end"]
SAMPLED = {"do_sample": True, "top_k": 0, "pad_token_id": 0}


@pytest.mark.parametrize("seed", range(3))
def test_a_random_model_speaks_complete_audio(seed: int) -> None:
    tok = Steps()
    events = list(
        generate(
            llama(ROWS), byte_tokenizer(VOCAB), VOCAB, [72, BEGIN], tok=tok, seed=seed, min_frames=2, max_frames=9,
            max_new_tokens=40, stop_after_audio=True, chunk_seconds=0.5, **SAMPLED,
        )
    )  # fmt: skip
    codes = codes_of(events)
    assert 2 <= codes.shape[1] <= 9
    assert text_of(events) == ""
    np.testing.assert_array_equal(heard(events), whole(codes, tok))


def test_text_and_audio_events_are_those_of_the_ids() -> None:
    model, tokenizer, tok = llama(ROWS), byte_tokenizer(VOCAB), Steps()

    def talkative(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores[:, BEGIN] += 4
        scores[:, 1] = float("-inf")  # the end of the sequence
        return scores

    options = {"max_new_tokens": 60, "max_frames": 3, "logits_processor": [talkative], **SAMPLED}
    events = list(generate(model, tokenizer, VOCAB, [72, 101], tok=tok, seed=1, **options))
    again = list(generate(model, tokenizer, VOCAB, torch.tensor([72, 101]), tok=tok, seed=1, **options))
    assert text_of(events) == text_of(again)
    assert torch.equal(codes_of(events), codes_of(again))
    assert text_of(events)
    assert sum(e.last for e in events if isinstance(e, AudioPiece)) > 1


def test_a_model_says_times_and_languages() -> None:
    assert TIMED.timestamps is not None
    wanted = [TIMED.markers["en"], 72, TIMED.timestamps.id(1.12), 105, TIMED.timestamps.id(2)]
    never = [TIMED.markers["transcribe"], TIMED.base_id, TIMED.end_id]
    tokenizer = byte_tokenizer(TIMED)

    def insist(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores[:, wanted[ids.shape[1] - 1]] += 1000
        scores[:, never] += 2000  # likelier still, and masked
        return scores

    options = {"logits_processor": [insist], "max_new_tokens": 5, "do_sample": False, "eos_token_id": 1}
    events = list(generate(llama(TIMED.end_id + PADDED), tokenizer, TIMED, [72], **options))
    letters = tokenizer.decode([72]), tokenizer.decode([105])
    assert text_of(events) == f"{letters[0]}1.12s{letters[1]}2.00s"


def test_audio_is_heard_while_the_model_still_speaks() -> None:
    gate, steps = threading.Event(), []

    def hold(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        steps.append(ids.shape[1])
        if len(steps) == 20:
            assert gate.wait(60)  # the model goes on only after the first audio was heard
        return scores

    options = {"max_new_tokens": 30, "num_frames": 9, "chunk_seconds": 0, **SAMPLED}
    events = generate(llama(ROWS), None, VOCAB, [BEGIN], tok=Steps(), logits_processor=[hold], **options)
    first = next(events)
    assert isinstance(first, AudioPiece)
    assert len(steps) <= 20
    gate.set()
    assert 1 + len(list(events)) == 10
    assert len(steps) > 20


def running() -> int:
    return sum(t.name == "codectok-generate" for t in threading.enumerate())


def test_closing_the_events_stops_the_model() -> None:
    gate, steps = threading.Event(), []

    def hold(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        steps.append(ids.shape[1])
        assert len(steps) < 8 or gate.wait(60)
        return scores

    options = {"max_new_tokens": 300, "min_frames": 100, "logits_processor": [hold], **SAMPLED}
    events = generate(llama(ROWS), None, VOCAB, [BEGIN], **options)
    next(events)
    assert running() == 1
    threading.Timer(1.0, gate.set).start()  # the model waits until after the events were closed
    events.close()  # type: ignore[attr-defined]
    assert running() == 0
    assert len(steps) < 300


def test_an_error_of_the_model_is_raised_where_events_are_read() -> None:
    def broken(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        list(generate(llama(ROWS), None, VOCAB, [BEGIN], logits_processor=[broken]))
    assert running() == 0


def test_unconstrained_generation_is_read_with_care() -> None:
    events = list(generate(llama(ROWS), None, VOCAB, [BEGIN], constrain=False, seed=0, max_new_tokens=60, **SAMPLED))
    assert all(isinstance(e, AudioPiece) for e in events)
    assert (codes_of(events) < torch.tensor([[5], [6], [7]])).all()


def test_bad_requests_are_errors_at_once() -> None:
    with pytest.raises(CodectokError, match="prompt is empty"):
        generate(llama(ROWS), None, VOCAB, [])
    with pytest.raises(FormatError, match="give num_frames"):
        generate(llama(ROWS), None, VOCAB, [BEGIN], pattern=Sections())
    with pytest.raises(CodectokError, match="batch of 1"):
        IdStreamer().put(torch.zeros(2, 3, dtype=torch.int64))
