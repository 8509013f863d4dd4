"""Chat templates by segments: the template is rendered around placeholders, and segments take their place."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from codectok.errors import FormatError
from codectok.llm.sequence.segments import Segment, Text

ROLES = frozenset({"system", "user", "assistant", "tool"})


def chat_segments(
    tokenizer: Any,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool = False,
    roles: Collection[str] = ROLES,
    **template_options: Any,
) -> list[Segment]:
    """A conversation through the tokenizer's chat template, as segments for ``Prompter.encode``.

    What the template itself says is trusted text, beginning-of-sequence token included; what the messages say is not.

    Args:
        tokenizer: a Hugging Face tokenizer with a chat template.
        messages: {"role": ..., "content": ...}, the content a string or a list of segments. Nothing else of a message
            reaches the template.
        add_generation_prompt: end with the opening of the assistant's turn.
        roles: the roles there may be. A role is pasted into the template's own text, so it must not come from a user.
        template_options: for ``apply_chat_template``.

    Raises:
        FormatError: an unknown role, or a template that drops, repeats or changes a message.
    """
    slots, shown = [], []
    for message in messages:
        if message.get("role") not in roles:
            raise FormatError(f"role {message.get('role')!r} is not one of {', '.join(sorted(roles))}")
        slots.append(f"slot{secrets.token_hex(16)}")
        shown.append({"role": message["role"], "content": slots[-1]})
    rendered = tokenizer.apply_chat_template(
        shown, tokenize=False, add_generation_prompt=add_generation_prompt, **template_options
    )
    found = re.findall("|".join(slots), rendered) if slots else []
    if found != slots:
        raise FormatError(
            f"the chat template shows {len(found)} of {len(slots)} messages, or in another order: "
            "use a template that shows each message once"
        )
    between = re.split("|".join(slots), rendered) if slots else [rendered]
    segments: list[Segment] = [Text(between[0], trusted=True)]
    for message, after in zip(messages, between[1:], strict=True):
        content = message["content"]
        segments += [Text(content)] if isinstance(content, str) else list(content)
        segments.append(Text(after, trusted=True))
    return [segment for segment in segments if segment != Text("", trusted=True)]
