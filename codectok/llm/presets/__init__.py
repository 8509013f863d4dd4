"""Vocabularies of published systems, literal for literal: the names and ids that their checkpoints were trained with.

``preset("orpheus")`` gives an AudioVocab. The ids hold for the base model that each system used; on another one, give
``base_id``: the id that the first token of the system gets there (of the codes, or of the markers where those come
first). Each function's docstring says what its ids count from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from codectok.errors import FormatError
from codectok.llm.presets import rates, single, streams
from codectok.llm.vocab import AudioVocab

PRESETS: dict[str, Callable[..., AudioVocab]] = {
    "speechgpt": single.speechgpt,
    "anygpt": single.anygpt,
    "orpheus": rates.orpheus,
    "llama-mimi": rates.llama_mimi,
    "llasa": single.llasa,
    "spark-tts": streams.spark_tts,
    "glm-4-voice": single.glm_4_voice,
    "vita-audio": single.vita_audio,
    "cosyvoice2": single.cosyvoice2,
    "spirit-lm": streams.spirit_lm,
    "mini-omni": rates.mini_omni,
    "codec-bpe": rates.codec_bpe,
}


def preset(name: str, **options: Any) -> AudioVocab:
    """A published system's vocabulary by name; ``options`` are the arguments of its function.

    Raises:
        FormatError: no preset of that name, or an option that it does not have.
    """
    if name not in PRESETS:
        raise FormatError(f"no preset {name!r}; there are {', '.join(PRESETS)}")
    try:
        return PRESETS[name](**options)
    except TypeError as error:
        raise FormatError(f"preset {name}: {error}") from error


__all__ = ["PRESETS", "preset"]
