"""Constrained generation in vLLM: an engine-level logits processor for the V1 interface.

Written to the public documentation of ``vllm.v1.sample.logits_processor`` (vLLM 0.10.2 and later; releases whose
default is the second model runner need VLLM_USE_V2_MODEL_RUNNER=0). A processor class is loaded with the engine, and a
request takes part by its ``extra_args``::

    llm = LLM(model=FOLDER, logits_processors=["codectok.llm.generate.vllm:AudioLogitsProcessor"])
    params = SamplingParams(
        extra_args={"codectok": {"pattern": {"pattern": "flatten"}, "text_size": 128266, "max_frames": 750}},
        stop_token_ids=[vocab.markers["end"]],
        skip_special_tokens=False,
        detokenize=False,
    )

FOLDER holds ``audio_vocab.json``; the keys are the fields of :class:`~codectok.llm.generate.logits.AudioGrammar`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from codectok.errors import FormatError, MissingPackageError
from codectok.llm.generate.logits import AudioGrammar, GrammarMask
from codectok.llm.patterns import from_dict
from codectok.llm.vocab.audio_vocab import AudioVocab

if TYPE_CHECKING:
    Base: Any = object
else:
    try:
        from vllm.v1.sample.logits_processor import AdapterLogitsProcessor as Base
    except ImportError:
        Base = object

KEY = "codectok"
"""Of ``SamplingParams.extra_args``."""
RequestProcessor = Callable[[list[int], list[int], Tensor], Tensor]
"""``(prompt ids, ids said so far, logits [V]) -> logits [V]``."""


def request_grammar(vocab: AudioVocab, settings: dict[str, Any]) -> AudioGrammar:
    """A grammar from the JSON of a request.

    Raises:
        FormatError: an unknown field, or fields that do not go together.
    """
    known = {f.name for f in dataclasses.fields(AudioGrammar)} - {"vocab"}
    if set(settings) - known:
        raise FormatError(f"{KEY} has no {sorted(set(settings) - known)}: it has {sorted(known)}")
    fields = dict(settings)
    if "pattern" in fields:
        fields["pattern"] = from_dict(fields["pattern"])
    return AudioGrammar(vocab, **fields)


class AudioLogitsProcessor(Base):  # type: ignore[misc]
    """Masks the rows of the requests that ask for it; other rows of the batch are left as they are.

    Args:
        vllm_config: the engine's; ``model_config.model`` is the folder with ``audio_vocab.json``.
        device: of the logits.
        is_pin_memory: not used.

    Raises:
        MissingPackageError: vLLM is not installed.
    """

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        if Base is object:
            raise MissingPackageError("AudioLogitsProcessor runs inside vLLM's engine: install vllm", package="vllm")
        super().__init__(vllm_config, device, is_pin_memory)
        self._vocab = AudioVocab.load(vllm_config.model_config.model)
        self._masks: dict[str, GrammarMask] = {}  # one a setting, so that its table is made once

    @classmethod
    def validate_params(cls, params: Any) -> None:
        """Refuse a request whose settings cannot be understood (vLLM answers it with the message).

        Raises:
            FormatError: which is a ValueError, as vLLM expects.
        """
        settings = (params.extra_args or {}).get(KEY)
        if settings is not None and not isinstance(settings, dict):
            raise FormatError(f"extra_args[{KEY!r}] is a {type(settings).__name__}: give a dict of settings")
        if settings and "pattern" in settings:
            from_dict(settings["pattern"])

    def is_argmax_invariant(self) -> bool:
        """False: what the model likes best may be forbidden."""
        return False

    def new_req_logits_processor(self, params: Any) -> RequestProcessor | None:
        """The processor of one request, or None if it does not ask for audio."""
        settings = (params.extra_args or {}).get(KEY)
        if settings is None:
            return None
        key = repr(sorted(settings.items()))
        if key not in self._masks:
            self._masks[key] = GrammarMask(request_grammar(self._vocab, settings))
        mask = self._masks[key]

        def process(prompt_ids: list[int], output_ids: list[int], logits: Tensor) -> Tensor:
            ids = torch.tensor([[*(prompt_ids or []), *output_ids]])
            return mask(ids, logits[None])[0]

        return process
