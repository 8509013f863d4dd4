"""Tasks by name: what each needs of an item, and which markers of a vocabulary suit it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from codectok.errors import FormatError
from codectok.llm.sequence import tasks
from codectok.llm.sequence.loss_labels import Part
from codectok.llm.sequence.segments import Marker, Segment, Text
from codectok.llm.sequence.tasks import Item, Style
from codectok.llm.vocab.audio_vocab import AudioVocab


@dataclass(frozen=True)
class Task:
    """A task by name.

    Attributes:
        name: its name.
        make: the function.
        needs: fields of an Item that must be there.
        cue_roles: tokens of the vocabulary that name the task, the first that there is counts,
        cue_text: or else this text.
        between: role of the marker between utterances, where the vocabulary has it.
        group: whether an item is several utterances.
        slices: whether it cuts utterances apart or mixes their frames, so that audio must be flattened.
    """

    name: str
    make: Callable[[Item, Style, AudioVocab], list[Part]]
    needs: tuple[str, ...]
    cue_roles: tuple[str, ...] = ()
    cue_text: str = ""
    between: str | None = None
    group: bool = False
    slices: bool = False

    def parts(self, item: Item, style: Style, vocab: AudioVocab) -> list[Part]:
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
_ALL = (
    Task("speech", tasks.speech, ("codes",)),
    Task("text", tasks.text, ("text",)),
    Task("speech-to-text", tasks.speech_to_text, ("codes", "text")),
    Task("text-to-speech", tasks.text_to_speech, ("text", "codes")),
    Task("interleaved", tasks.interleaved, ("text", "codes"), slices=True),
    Task("asr", tasks.speech_to_text, ("codes", "text"), ASR, "Transcribe the speech:\n"),
    Task("tts", tasks.text_to_speech, ("text", "codes"), TTS, "Say the text:\n"),
    Task("speech-continuation", tasks.speech_continuation, ("codes",), slices=True),
    Task("text-continuation", tasks.text_continuation, ("text", "target_text")),
    Task("s2st", tasks.speech_translation, ("codes", "target_codes"), TRANSLATE, "Translate into speech:\n"),
    Task("s2tt", tasks.text_translation, ("codes", "target_text"), TRANSLATE, "Translate into text:\n"),
    Task("spoken-qa", tasks.spoken_qa, ("codes", "target_text"), ("answer",), "Answer the question:\n"),
    Task("caption", tasks.caption, ("codes", "target_text"), ("caption",), "Describe the audio:\n"),
    Task("repetition", tasks.repetition, ("codes", "text"), between="repeat", group=True),
    Task("continuation", tasks.continuation, ("codes", "text"), between="next", group=True),
)
TASKS: dict[str, Task] = {task.name: task for task in _ALL}
ALIGNMENT = ("speech", "speech-to-text", "text-to-speech", "interleaved")
"""The four formats of modality alignment, by name."""


def task(name: str) -> Task:
    """A task by name.

    Raises:
        FormatError: there is none of that name.
    """
    if name not in TASKS:
        raise FormatError(f"no task {name!r}; there are {', '.join(TASKS)} and chat")
    return TASKS[name]
