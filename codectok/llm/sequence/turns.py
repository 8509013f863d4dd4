"""Turn-based chat as a training sequence: a conversation through the chat template, the assistant's turns said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from codectok.llm.sequence.chat import chat_segments
from codectok.llm.sequence.loss_labels import Part, given
from codectok.llm.sequence.segments import Segment, Text
from codectok.llm.vocab.text_tokenizer import backend


def chat_parts(
    tokenizer: Any, messages: Sequence[Mapping[str, Any]], *, said_by: str = "assistant", **template_options: Any
) -> list[Part]:
    """A conversation in which a model learns what one role says, and to end its turn.

    The end of a turn is the template's first special token behind it (<|im_end|>); it has a label too. Templates bring
    their own beginning of sequence: encode with ``bos=False, eos=False``.

    Args:
        tokenizer: a fast Hugging Face tokenizer with a chat template.
        messages: {"role": ..., "content": ...}, the content a string or a list of segments.
        said_by: the role whose content has labels.
        template_options: for ``apply_chat_template``.

    Raises:
        FormatError: an unknown role, or a template that drops, repeats or changes a message.
    """
    contents = [_segments(message["content"]) for message in messages]
    shown = [{"role": m.get("role"), "content": c} for m, c in zip(messages, contents, strict=True)]
    segments = chat_segments(tokenizer, shown, **template_options)
    ends = [token.content for token in backend(tokenizer).get_added_tokens_decoder().values() if token.special]
    parts: list[Part] = []
    place = 0
    for message, content in zip(messages, contents, strict=True):
        while content and segments[place] is not content[0]:
            parts += given(segments[place])
            place += 1
        speaks = message["role"] == said_by
        parts += [Part(segment, speaks) for segment in content]
        place += len(content)
        after = segments[place] if place < len(segments) else None
        if speaks and content and isinstance(after, Text):
            found = [at + len(end) for end in ends if (at := after.text.find(end)) >= 0]
            if found:
                turn_end, rest = after.text[: min(found)], after.text[min(found) :]
                parts += [Part(Text(turn_end, trusted=True), True), *given(*[Text(rest, trusted=True)][: bool(rest)])]
                place += 1
    return [*parts, *given(*segments[place:])]


def _segments(content: str | Sequence[Segment]) -> list[Segment]:
    """As segments, each an object of its own, none empty: they are found again by identity."""
    listed: list[Segment] = [Text(content)] if isinstance(content, str) else list(content)
    return [
        Text(s.text, s.trusted) if isinstance(s, Text) else s
        for s in listed
        if not (isinstance(s, Text) and not s.text)
    ]
