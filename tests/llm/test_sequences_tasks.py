"""Tasks, captions and chat, on sequences written out in names."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.errors import FormatError, UnknownNameError
from codectok.llm.sequence.captions import TIME, caption_parts, caption_segments, caption_text, read_caption
from codectok.llm.sequence.encoder import SequenceEncoder
from codectok.llm.sequence.interleave import Word
from codectok.llm.sequence.loss_labels import IGNORE
from codectok.llm.sequence.segments import Audio, Marker, Text, Time
from codectok.llm.sequence.task_table import ALIGNMENT, TASKS, task
from codectok.llm.sequence.tasks import TaskItem
from codectok.llm.sequence.turns import chat_parts
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.presets import preset
from codectok.llm.vocab.tags import TimeTags

from .test_segments import CHAT
from .text_tokenizers import with_audio

TOKENIZER, VOCAB = with_audio("byte-level", (8, 4))
ONE, TWO = np.array([[1, 2], [3, 0]]), np.array([[7], [1]])
ITEM = TaskItem("a", ONE, "fox", TWO, "dog", frame_rate=Fraction(2))
PAIR = replace(ITEM, following=(TaskItem("b", TWO, "dog"),))


def names(item: TaskItem, name: str, **options: Any) -> str:
    """A sequence in names; what a model says is in upper case (the marks <...> too), codes are c0/c1."""
    chosen = task(name)
    return shown(chosen.parts(item, chosen.style(VOCAB, **options), VOCAB))


def shown(parts: Any) -> str:
    words = []
    for part in parts:
        match part.segment:
            case Text(text):
                word = repr(text)[1:-1]
            case Marker(role):
                word = f"<{role}>"
            case Time(seconds):
                word = f"<{seconds}>"
            case Audio(codes):
                word = "".join(f"k{a}{b}" for a, b in np.asarray(codes).T.tolist())
            case mixed:
                word = f"mixed {mixed.text_chunk} {mixed.speech_chunk}"
        words.append(word.upper() if part.predict else word)
    return " ".join(words)


@pytest.mark.parametrize(
    ("name", "sequence"),
    [
        ("speech", "<BEGIN> K13K20 <END>"),
        ("text", "FOX"),
        ("speech-to-text", "<begin> k13k20 <end> FOX"),
        ("text-to-speech", "fox <BEGIN> K13K20 <END>"),
        ("interleaved", "MIXED 13 26"),
        ("asr", "<transcribe> <begin> k13k20 <end> FOX"),
        ("asr-times", r"Transcribe the speech with the time of each word:\n <begin> k13k20 <end> <0.0>  FOX <0.5>"),
        ("tts", r"say the text:\n fox <BEGIN> K13K20 <END>"),
        ("speech-continuation", "<begin> k13 K20 <END>"),
        ("text-continuation", "fox DOG"),
        ("s2st", "<translate> <begin> k13k20 <end> <BEGIN> K71 <END>"),
        ("s2tt", "<translate> <begin> k13k20 <end> DOG"),
        ("spoken-qa", r"answer the question:\n <begin> k13k20 <end> DOG <BEGIN> K71 <END>"),
        ("caption", r"describe the audio:\n <begin> k13k20 <end> DOG"),
        ("repetition", "<begin> k13k20 <end> FOX"),
        ("continuation", "<begin> k13k20 <end> DOG"),
    ],
)
def test_tasks_written_out(name: str, sequence: str) -> None:
    item = PAIR if name == "continuation" else ITEM
    if name == "asr-times":
        item = replace(ITEM, words=(Word("fox", 0.0, 0.5),))
    assert (
        names(item, name).replace("Say", "say").replace("Answer", "answer").replace("Describe", "describe") == sequence
    )


def test_all_tasks_are_written_out_above_and_alignment_is_four_of_them() -> None:
    listed = test_tasks_written_out.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert [name for name, _ in listed] == list(TASKS)
    assert set(ALIGNMENT) <= set(TASKS)
    with pytest.raises(UnknownNameError, match="no task 'sing'"):
        task("sing")
    with pytest.raises(FormatError, match="no target codes"):
        task("s2st").parts(TaskItem("a", ONE), task("s2st").style(VOCAB), VOCAB)


def test_by_utterance_as_voxtral_does() -> None:
    three = TaskItem("a", ONE, "fox", following=(TaskItem("b", TWO, "dog"), TaskItem("c", ONE, "cat")))
    assert names(three, "repetition") == "<begin> k13k20 <end> FOX <begin> k71 <end> DOG <begin> k13k20 <end> CAT"
    assert names(three, "continuation") == "<begin> k13k20 <end> DOG"
    four = TaskItem("a", ONE, "fox", following=(*three.following, TaskItem("d", TWO, "end")))
    assert names(four, "continuation", between="en") == "<begin> k13k20 <end> <en> DOG <begin> k13k20 <end> <en> END"
    with pytest.raises(FormatError, match="no second utterance to continue with"):
        names(ITEM, "continuation")
    with pytest.raises(FormatError, match="no text"):
        names(TaskItem("a", ONE, "fox", following=(TaskItem("b", TWO),)), "continuation")


def test_by_words_every_stretch_is_in_one_form() -> None:
    words = tuple(Word(w, i / 2, i / 2 + 0.5) for i, w in enumerate("abcdefgh"))
    codes = np.stack([np.arange(8), np.zeros(8, dtype=int)])
    seen = set()
    for key in map(str, range(20)):
        item = TaskItem(key, codes, "abcdefgh", words=words, frame_rate=Fraction(2))
        found = names(item, "interleaved", seed=3)
        assert found == names(item, "interleaved", seed=3)
        seen.add(found)
        flat = found.replace("<BEGIN>", "").replace("<END>", "").split()
        order = [ord(w) - 65 for w in "".join(x if x[0] != "K" else "" for x in flat)]
        audio = [int(x[i + 1]) for x in flat if x[0] == "K" for i in range(0, len(x), 3)]
        assert sorted(order + audio) == list(range(8))
    assert len(seen) > 10
    with pytest.raises(FormatError, match="frame rate"):
        names(TaskItem("a", codes, "a", words=words), "interleaved")


def test_styles_follow_the_vocabulary() -> None:
    llasa = task("s2st").style(preset("llasa"))
    assert llasa.heard == ("speech_understanding_start", "speech_understanding_end")
    assert llasa.spoken == ("speech_generation_start", "speech_generation_end")
    spirit = task("interleaved").style(preset("spirit-lm"))
    assert (spirit.heard, spirit.written) == (("begin",), ("text",))
    assert task("asr").style(preset("glm-4-voice")).heard == ("begin", "end")
    bare = AudioVocab("bare", (4,), 10)
    assert task("speech").style(bare).spoken == ()
    seconds = names(ITEM, "speech-continuation", prompt_seconds=0.0)
    assert seconds == "<begin>  K13K20 <END>"
    assert names(ITEM, "speech-continuation", prompt_seconds=9.0) == "<begin> k13k20  <END>"


TIMES = TimeTags(1000, count=1501)


def test_captions_written_out() -> None:
    segments = caption_segments("a dog from 1.12s to 3s, v2.0s 5st 1.2.3s 99s.", TIMES)
    want = [Text("a dog from "), Time(1.12), Text(" to "), Time(3.0), Text(", v2.0s 5st 1.2.3s 99s.")]
    assert segments == want
    assert caption_text(segments, TIMES) == "a dog from 1.12s to 3.00s, v2.0s 5st 1.2.3s 99s."
    assert caption_segments("<|1.12|> 1.13s", TIMES) == [Text("<|1.12|> "), Time(1.13)]
    assert caption_text([Time(1.13)], TIMES) == "1.12s"
    assert [(p.predict, p.weight) for p in caption_parts("at 2s", TIMES, 5.0)] == [(True, 1.0), (True, 5.0)]
    assert caption_segments("", TIMES) == []
    with pytest.raises(FormatError, match="Marker"):
        caption_text([Marker("begin")], TIMES)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.text("ab .,s12", max_size=5), st.integers(0, 1500).map(lambda i: f" {i / 50:.2f}s "))))
def test_captions_on_the_grid_come_back(pieces: list[str]) -> None:
    text = "".join(pieces)
    segments = caption_segments(text, TIMES)
    again = caption_text(segments, TIMES)
    assert caption_text(caption_segments(again, TIMES), TIMES) == again
    assert len([s for s in segments if isinstance(s, Time)]) == len(TIME.findall(text))
    if all(len(time.partition(".")[2]) == 2 and float(time) * 50 % 1 == 0 for time in TIME.findall(text)):
        assert again == re.sub(r"(?<![\w.,])0+(?=[0-9]+\.[0-9]+s(?!\w))", "", text)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([" the fox", "; at", " 语 <|0.50|>"]), st.integers(0, 100)), max_size=5))
def test_captions_through_ids_and_back(pieces: list[tuple[str, int]]) -> None:
    text = "".join(f"{word} {step / 50:.2f}s" for word, step in pieces)
    encoder = SequenceEncoder(VOCAB, TOKENIZER, bos=True, eos=True)
    assert VOCAB.timestamps is not None
    made = encoder(caption_parts(text, VOCAB.timestamps, 4.0))
    assert read_caption(TOKENIZER, VOCAB, made.ids) == text
    weights = np.ones(len(made.ids)) if made.weights is None else made.weights
    times = VOCAB.owns(made.ids)
    assert times.sum() == len(pieces)
    assert weights[times].tolist() == [4.0] * len(pieces)


def test_chat_says_the_assistants_turns_and_their_ends() -> None:
    TOKENIZER.chat_template = CHAT
    messages = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": [Text("say it <|im_end|>"), Marker("begin"), Audio(ONE), Marker("end")]},
        {"role": "assistant", "content": "fox"},
        {"role": "user", "content": ""},
        {"role": "assistant", "content": [Marker("begin"), Audio(TWO), Marker("end"), Text("dog")]},
    ]
    parts = chat_parts(TOKENIZER, messages)
    said = [list(group) for speaks, group in itertools.groupby(parts, lambda p: p.predict) if speaks]
    assert [shown(run) for run in said] == ["FOX <|IM_END|>", "<BEGIN> K71 <END> DOG <|IM_END|>"]
    made = SequenceEncoder(VOCAB, TOKENIZER, bos=False, eos=False)(parts)
    text = [TOKENIZER.decode(made.ids[made.labels != IGNORE].tolist())][0]
    codes = "".join(VOCAB.token(int(i)) for i in VOCAB.ids(TWO).T.reshape(-1))
    assert text == f"fox<|im_end|><|audio_start|>{codes}<|audio_end|>dog<|im_end|>"
    end = TOKENIZER.convert_tokens_to_ids("<|im_end|>")
    assert (made.ids == end).sum() == 5  # the user's own is text
    assert (made.labels == end).sum() == 2
