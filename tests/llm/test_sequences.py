"""Sequences: the ids are the Prompter's, labels and weights are counted out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.errors import CodeRangeError, FormatError
from codectok.llm.patterns import Delay, Flatten, Sections
from codectok.llm.sequence.encoder import SequenceEncoder
from codectok.llm.sequence.interleave import Mixed, deinterleave, interleave_by_ratio
from codectok.llm.sequence.loss_labels import IGNORE, Part, codebook_weights, label_count, said, weighted_loss
from codectok.llm.sequence.loss_labels import given as read
from codectok.llm.sequence.segments import Audio, AudioIds, Marker, Prompter, Text, Time
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.text_tokenizer import add_to, next_id

from .text_tokenizers import KINDS, text_tokenizer, with_audio

TOKENIZERS = {kind: with_audio(kind) for kind in KINDS}


def codes(seed: int, frames: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, n, frames) for n in (64, 32, 32, 16)])


def segments() -> st.SearchStrategy[Any]:
    audio = st.builds(codes, st.integers(0, 99), st.integers(0, 5))
    return st.one_of(
        st.builds(Text, st.text("the quick<|>_0audio 语 \n", max_size=8), st.just(False)),
        st.builds(Text, st.sampled_from(["</s>", "<|im_start|>user\n", "fox"]), st.just(True)),
        st.builds(Audio, audio),
        st.builds(lambda c: Audio(c[1], codebook=1), audio),
        st.builds(lambda c: AudioIds(c[0] + TOKENIZERS["byte-level"][1].base_id), audio),
        st.sampled_from([Marker("begin"), Marker("transcribe"), Time(1.12)]),
    )


examples = st.lists(
    st.lists(st.builds(Part, segments(), st.booleans(), st.sampled_from([1.0, 1.0, 2.5])), max_size=6), max_size=4
)


@settings(max_examples=50, deadline=None)
@given(examples, st.sampled_from(["byte-level", "wordpiece"]), st.booleans(), st.booleans())
def test_a_batch_is_what_the_prompter_makes_one_by_one(batch: Any, kind: str, bos: bool, eos: bool) -> None:
    tokenizer, vocab = TOKENIZERS[kind]
    shift = vocab.base_id - TOKENIZERS["byte-level"][1].base_id
    for parts in batch:
        for part in parts:
            if isinstance(part.segment, AudioIds):
                object.__setattr__(part, "segment", AudioIds(part.segment.ids + shift))
    prompter = Prompter(tokenizer, vocab)
    made = SequenceEncoder(vocab, tokenizer, bos=bos, eos=eos).batch(batch)
    assert len(made) == len(batch)
    for i, parts in enumerate(batch):
        one = made.part(i, i + 1)
        prompt = prompter.encode([p.segment for p in parts], bos=bos)
        want = prompt.ids.tolist() + [tokenizer.eos_token_id] * eos
        assert one.ids.tolist() == want
        labels, weights, cuts = [IGNORE] * bos, [0.0] * bos, [True] * bos
        for part, span in zip(parts, prompt.spans, strict=True):
            n = span.stop - span.start
            labels += want[span.start : span.stop] if part.predict else [IGNORE] * n
            weights += [part.weight if part.predict else 0.0] * n
            framed = isinstance(part.segment, Audio) and part.segment.codebook is None
            whole = span.kind == "audio" and not framed
            cuts += [j == 0 if whole else j % 4 == 0 if framed else True for j in range(n)]
        labels, weights, cuts = labels + want[-1:] * eos, weights + [1.0] * eos, cuts + [True] * eos
        if labels:
            labels[0], weights[0] = IGNORE, 0.0
        assert one.labels.tolist() == labels
        assert one.cuts.tolist() == cuts
        if one.weights is not None:
            assert one.weights.tolist() == weights
        else:
            assert all(p.weight == 1 for p in parts)
        lengths = [1] * bos + [s.stop - s.start for s in prompt.spans] + [1] * eos
        everything = [*read(*[Text("")] * bos), *parts, *said(*[Text("")] * eos)]
        assert int((one.labels != IGNORE).sum()) == label_count(everything, lengths)


@settings(max_examples=60, deadline=None)
@given(st.text("the quick fox", max_size=30), st.integers(0, 9), st.integers(1, 4), st.integers(1, 5), st.booleans())
def test_mixed_is_text_and_audio_by_ratio(text: str, frames: int, n: int, m: int, say: bool) -> None:
    tokenizer, vocab = TOKENIZERS["byte-level"]
    encoder = SequenceEncoder(vocab, tokenizer, bos=True, eos=False)
    held = codes(1, frames)
    made = encoder(said(Mixed(text, held, n, m, say_text=say)))
    words, audio = np.array(tokenizer.encode(text, add_special_tokens=False), dtype=int), vocab.ids(held).T.reshape(-1)
    assert made.ids[1:].tolist() == interleave_by_ratio(words, audio, n, m, 4).tolist()
    labelled = len(audio) + say * len(words)
    assert int((made.labels != IGNORE).sum()) == labelled
    owned = vocab.owns(made.ids)
    assert int(made.cuts[owned].sum()) == frames
    assert made.cuts[~owned].all()
    back, again, _ = deinterleave(vocab, made.ids[1:])
    assert back.tolist() == words.tolist()
    assert np.array_equal(again.numpy(), held)


def test_first_tokens_have_no_label() -> None:
    tokenizer, vocab = TOKENIZERS["byte-level"]
    encoder = SequenceEncoder(vocab, tokenizer, bos=False, eos=False)
    made = encoder.batch([said(Marker("begin"), Audio(codes(0, 1))), [], said(Text("fox"))])
    begin, ids = vocab.markers["begin"], vocab.ids(codes(0, 1)).T.reshape(-1).tolist()
    assert made.part(0, 1).ids.tolist() == [begin, *ids]
    assert made.part(0, 1).labels.tolist() == [IGNORE, *ids]
    assert made.lengths[1] == 0
    assert made.part(2, 3).labels[0] == IGNORE


def test_codebook_weights_have_a_mean_of_one() -> None:
    tokenizer, vocab = TOKENIZERS["byte-level"]
    assert codebook_weights([4, 2, 1, 1], vocab).tolist() == [2, 1, 0.5, 0.5]
    encoder = SequenceEncoder(vocab, tokenizer, bos=True, eos=True, weights=[4, 2, 1, 1])
    made = encoder([*read(Text("fox")), *said(Marker("begin"), Audio(codes(0, 3)), weight=3)])
    assert made.weights is not None
    assert made.weights[-14:].tolist() == [3, *[6, 3, 1.5, 1.5] * 3, 1]
    assert made.weights[:-14].tolist() == [0] * (len(made.ids) - 14)
    for bad in ([1, 1, 1], [1, 1, 1, -1], [0, 0, 0, 0], [1, 1, 1, float("inf")]):
        with pytest.raises(FormatError, match="codebook"):
            SequenceEncoder(vocab, tokenizer, weights=bad)
    with pytest.raises(FormatError, match="loss weight"):
        Part(Text(""), True, -1.0)


def test_sections_with_separators() -> None:
    tokenizer = text_tokenizer("byte-level")
    vocab = AudioVocab.create((8, 8), next_id(tokenizer), tags=[("marker", "separator", "<|next|>")])
    add_to(tokenizer, vocab)
    pattern = Sections(ends=True)
    encoder = SequenceEncoder(vocab, tokenizer, pattern=pattern, bos=False, eos=False)
    table = np.array([[1, 2], [3, 4]])
    made = encoder([*read(Marker("begin")), *said(Audio(table))])
    first, second, mark = vocab.base_id, vocab.base_id + 8, vocab.markers["separator"]
    assert made.ids[1:].tolist() == [first + 1, first + 2, mark, second + 3, second + 4, mark]
    assert made.cuts.tolist() == [True, True, *[False] * 5]
    with pytest.raises(FormatError, match="by ratio"):
        encoder(said(Mixed("a", table, 1, 1)))
    with pytest.raises(FormatError, match="separator"):
        SequenceEncoder(TOKENIZERS["byte-level"][1], pattern=pattern)


def test_what_cannot_be_encoded() -> None:
    tokenizer, vocab = TOKENIZERS["byte-level"]
    with pytest.raises(FormatError, match="several streams"):
        SequenceEncoder(vocab, tokenizer, pattern=Delay((0, 1, 2, 3)))
    with pytest.raises(FormatError, match="no bos"):
        SequenceEncoder(vocab, None, bos=True)
    encoder = SequenceEncoder(vocab, tokenizer)
    for bad, error, message in [
        (Audio(codes(0, 2) + 64), CodeRangeError, "codebook 0"),
        (Audio(codes(0, 2)[:3]), CodeRangeError, r"\[4, T\]"),
        (Marker("nobody"), CodeRangeError, "no marker"),
        (Time(3), CodeRangeError, "no timestamp"),
        (AudioIds(np.array([3])), CodeRangeError, "not all of"),
        (Text("\ud800"), FormatError, "Unicode"),
        ("text", FormatError, "no segment"),
    ]:
        with pytest.raises(error, match=message):
            encoder(said(bad))
    with pytest.raises(FormatError, match="text tokenizer"):
        SequenceEncoder(vocab)(said(Text("a")))
    assert SequenceEncoder(vocab, pattern=Flatten())(said(Audio(codes(0, 2)))).lengths.tolist() == [8]


def test_weighted_loss_is_the_mean_by_weight() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 7)
    labels = torch.tensor([[IGNORE, 1, 2, IGNORE, 6], [3, 0, IGNORE, IGNORE, 4]])
    weights = torch.tensor([[0, 1, 4, 0, 0.5], [9, 2, 0, 0, 1]])
    total = count = 0.0
    for b in range(2):
        for i in range(1, 5):
            if labels[b, i] != IGNORE:
                total += float(weights[b, i]) * -float(logits[b, i - 1].log_softmax(-1)[labels[b, i]])
                count += float(weights[b, i])
    assert weighted_loss(logits, labels, weights).item() == pytest.approx(total / count, rel=1e-5)
    plain = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, 7), labels[:, 1:].reshape(-1))
    assert weighted_loss(logits, labels).item() == pytest.approx(plain.item(), rel=1e-6)
    assert weighted_loss(logits, torch.full_like(labels, IGNORE)).item() == 0
