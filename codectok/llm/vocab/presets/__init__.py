"""Vocabularies of published systems, literal for literal: the names and ids that their checkpoints were trained with.

``preset("orpheus")`` gives an AudioVocab. The ids hold for the base model that each system used; on another one, give
``base_id``: the id that the first token of the system gets there (of the codes, or of the markers where those come
first). Each function's docstring says what its ids count from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from codectok import registry
from codectok.errors import FormatError
from codectok.llm.vocab.audio_vocab import AudioVocab

PRESETS: registry.Table[Callable[..., AudioVocab]] = registry.Table("presets")


def preset(name: str, **options: Any) -> AudioVocab:
    """A published system's vocabulary by name; ``options`` are the arguments of its function.

    Raises:
        UnknownNameError: no preset of that name.
        FormatError: an option that it does not have.

    Examples:
        >>> from codectok.llm import preset
        >>> preset("orpheus").token(128266)
        '<custom_token_10>'
    """
    make = PRESETS[name]
    try:
        return make(**options)
    except TypeError as error:
        raise FormatError(f"preset {name}: {error}") from error


__all__ = ["PRESETS", "preset"]
