"""Tasks by name: what each needs of an item, and which markers of a vocabulary suit it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from codectok import registry
from codectok.errors import FormatError, UnknownNameError
from codectok.llm.sequence import tasks
from codectok.llm.sequence.loss_labels import Part
from codectok.llm.sequence.segments import Marker, Segment, Text
from codectok.llm.sequence.tasks import Style, TaskItem
from codectok.llm.vocab.audio_vocab import AudioVocab


@dataclass(frozen=True)
class SequenceTask:
    """A task by name.

    Attributes:
        name: its name.
        make: the function.
        needs: fields of an Item that must be there; where these are codes alone, no labels of a store are read.
        cue_roles: tokens of the vocabulary that name the task, the first that there is counts,
        cue_text: or else this text.
        between: role of the marker between utterances, where the vocabulary has it.
        group: whether an item is several utterances.
        slices: whether it cuts utterances apart or mixes their frames, so that audio must be flattened.
    """

    name: str
    make: Callable[[TaskItem, Style, AudioVocab], list[Part]]
    needs: tuple[str, ...]
    cue_roles: tuple[str, ...] = ()
    cue_text: str = ""
    between: str | None = None
    group: bool = False
    slices: bool = False

    def parts(self, item: TaskItem, style: Style, vocab: AudioVocab) -> list[Part]:
        """The parts of one item's sequence.

        Raises:
            FormatError: an item without something that the task needs.
        """
        for one in (item, *item.following):
            for need in self.needs:
                if getattr(one, need) is None:
                    raise FormatError(f"no {need.replace('_', ' ')}")
        return self.make(item, style, vocab)

    def style(self, vocab: AudioVocab, **options: Any) -> Style:
        """The style that suits a vocabulary; ``options`` are fields of Style that replace it."""
        found = next((r for r in self.cue_roles if r in vocab.markers), None)
        cue: tuple[Segment, ...] = (Marker(found),) if found else (Text(self.cue_text),) if self.cue_text else ()
        chosen = {
            "cue": cue,
            "heard": _around(vocab, "understanding"),
            "spoken": _around(vocab, "generation"),
            "written": ("text",) if "text" in vocab.markers else (),
            "between": self.between if self.between in vocab.markers else None,
        }
        return Style(**{**chosen, **options})


def _around(vocab: AudioVocab, use: str) -> tuple[str, ...]:
    """Roles of the markers around speech: begin and end, or only one of them, or LLaSA's pair for its use."""
    found = tuple(role for role in ("begin", "end") if role in vocab.markers)
    own = (f"speech_{use}_start", f"speech_{use}_end")
    return found or (own if set(own) <= set(vocab.markers) else ())


CHAT = "chat"
"""A task of its own: its items are dialogues (see ``turns``)."""
ASR, TTS, TRANSLATE = ("transcribe", "task_asr"), ("speak", "task_tts"), ("translate", "task_st")
SPEECH = SequenceTask("speech", tasks.speech, ("codes",))
"""Speech alone."""
TEXT = SequenceTask("text", tasks.text, ("text",))
"""Text alone."""
SPEECH_TO_TEXT = SequenceTask("speech-to-text", tasks.speech_to_text, ("codes", "text"))
"""Speech, then its text, with nothing that says so."""
TEXT_TO_SPEECH = SequenceTask("text-to-speech", tasks.text_to_speech, ("text", "codes"))
"""Text, then its speech, with nothing that says so."""
INTERLEAVED = SequenceTask("interleaved", tasks.interleaved, ("text", "codes"), slices=True)
"""Text and frames of its speech in turn."""
ASR_TASK = SequenceTask("asr", tasks.speech_to_text, ("codes", "text"), ASR, "Transcribe the speech:\n")
"""What is said, asked for by a cue."""
ASR_TIMES = SequenceTask(
    "asr-times", tasks.timed_text, ("codes", "words"), (), "Transcribe the speech with the time of each word:\n"
)
"""What is said, each word after its time."""
TTS_TASK = SequenceTask("tts", tasks.text_to_speech, ("text", "codes"), TTS, "Say the text:\n")
"""A text, to be said, asked for by a cue."""
SPEECH_CONTINUATION = SequenceTask("speech-continuation", tasks.speech_continuation, ("codes",), slices=True)
"""The beginning of an utterance, then its rest."""
TEXT_CONTINUATION = SequenceTask("text-continuation", tasks.text_continuation, ("text", "target_text"))
"""A text, then another that follows it."""
S2ST = SequenceTask("s2st", tasks.speech_translation, ("codes", "target_codes"), TRANSLATE, "Translate into speech:\n")
"""Speech, then the speech of its translation."""
S2TT = SequenceTask("s2tt", tasks.text_translation, ("codes", "target_text"), TRANSLATE, "Translate into text:\n")
"""Speech, then the text of its translation."""
SPOKEN_QA = SequenceTask("spoken-qa", tasks.spoken_qa, ("codes", "target_text"), ("answer",), "Answer the question:\n")
"""A spoken question, then the answer as text."""
CAPTION = SequenceTask("caption", tasks.caption, ("codes", "target_text"), ("caption",), "Describe the audio:\n")
"""Audio, then a description of it."""
REPETITION = SequenceTask("repetition", tasks.repetition, ("codes", "text"), between="repeat", group=True)
"""Several utterances, each said again."""
CONTINUATION = SequenceTask("continuation", tasks.continuation, ("codes", "text"), between="next", group=True)
"""Several utterances of one recording, one after the other."""
TASKS: registry.Table[SequenceTask] = registry.Table("llm_tasks")
"""By the name that a dataset's description gives."""
ALIGNMENT = ("speech", "speech-to-text", "text-to-speech", "interleaved")
"""The four formats of modality alignment, by name."""


def task(name: str) -> SequenceTask:
    """A task by name.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in TASKS:
        raise UnknownNameError(
            f"{registry.unknown('llm_tasks', name)} (or chat, of dialogues)",
            name=name,
            kind="llm_tasks",
            known=[*TASKS, "chat"],
        )
    return TASKS[name]
