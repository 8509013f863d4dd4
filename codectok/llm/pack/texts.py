"""What goes with the utterances of a store: texts, word times and groups, by its labels or those of a manifest."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codectok.errors import FormatError
from codectok.items.label_files import labelled_items
from codectok.items.labels import Label, Labels, as_text
from codectok.llm.sequence.interleave import Word

TARGETS = ("target_text", "translation", "answer", "caption")
LABELS = ("text", *TARGETS, "words", "group", "messages")
"""All that is read of the labels of an utterance."""


@dataclass(frozen=True)
class TextLine:
    """One line of a table.

    Attributes:
        text: what is said.
        target_text: a translation, an answer, a caption.
        words: the words and their times.
        group: utterances that belong together, such as a book or a talk.
        messages: a dialogue.
    """

    text: str | None = None
    target_text: str | None = None
    words: tuple[Word, ...] = ()
    group: str | None = None
    messages: tuple[Mapping[str, Any], ...] = ()

    def over(self, below: TextLine) -> TextLine:
        """This line, and where it says nothing, what ``below`` says."""
        return TextLine(*(mine or theirs for mine, theirs in zip(_fields(self), _fields(below), strict=True)))


def read_texts(path: str | os.PathLike[str]) -> dict[str, TextLine]:
    """Lines by id, from any manifest that :func:`codectok.items.label_files.labelled_items` reads.

    Columns are text (or transcript, sentence, ...), target_text (or translation, answer, caption), group, words
    ([[word, start, end], ...] in s) and messages (dialogues); ids are those that a store of the manifest has.

    Raises:
        FormatError: another kind of file, a line that cannot be read, an id that comes twice, or no lines.
    """
    found: dict[str, TextLine] = {}
    for number, item in labelled_items(path):
        try:
            found[item.id] = line_of(item.labels)
        except (TypeError, ValueError, KeyError) as error:
            raise FormatError(f"line {number} of {path} is damaged ({error!r})", path=path) from error
    return found


def line_of(labels: Labels) -> TextLine:
    """What the labels of an utterance say.

    Raises:
        TypeError, ValueError, KeyError: words or messages that are none.
    """
    words, messages = _listed(labels.get("words")), _listed(labels.get("messages"))
    return TextLine(
        text=as_text(labels.get("text")),
        target_text=next((t for name in TARGETS if (t := as_text(labels.get(name))) is not None), None),
        words=tuple(Word(str(w), float(start), float(end)) for w, start, end in words),
        group=as_text(labels.get("group")),
        messages=tuple({"role": m["role"], "content": m["content"]} for m in messages),
    )


def stored_line(labels: Labels) -> TextLine:
    """What the labels of a store say; words and messages of another form than here are somebody else's."""
    try:
        return line_of(labels)
    except (TypeError, ValueError, KeyError):
        return line_of({name: value for name, value in labels.items() if name not in ("words", "messages")})


def _fields(line: TextLine) -> tuple[Any, ...]:
    return line.text, line.target_text, line.words, line.group, line.messages


def _listed(label: Label) -> list[Any]:
    """A list, which labels hold as JSON."""
    return json.loads(label) if isinstance(label, str) and label else []
