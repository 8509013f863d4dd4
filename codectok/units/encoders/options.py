"""Speech encoders by name: what opens them is found by the registry, no encoder is named here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codectok import registry
from codectok.errors import CodectokError, FormatError
from codectok.files.bounds import NOT_BUILT
from codectok.log import logger, tell_hub

LOG = logger(__name__)

PADDINGS = ("hop", "none")
DTYPES = ("float32", "bfloat16", "int8")


@dataclass(frozen=True)
class EncoderOptions:
    """What an encoder is opened with: the arguments of :func:`codectok.units.load_encoder`, which says what they mean.

    Raises:
        CodectokError: a ``dtype`` or ``padding`` that there is not.
    """

    name: str
    layer: int | Sequence[int]
    convention: str = "hf"
    padding: str = "hop"
    dtype: str = "float32"
    window_seconds: float | None = None
    overlap_seconds: float | None = None
    tail_seconds: float | None = None
    device: str = "cpu"
    batch_seconds: float | None = None
    trainable: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES or (self.dtype == "int8" and not self.device.startswith("cpu")):
            raise CodectokError(f"dtype is {self.dtype!r}: give float32, bfloat16, or on a CPU int8")
        if self.padding not in PADDINGS:
            raise CodectokError(f"padding is {self.padding!r}: give one of {', '.join(PADDINGS)}")

    def given(self, layers: Sequence[int]) -> dict[str, Any]:
        """What decides the features, for ``config.json``, with the layers that were meant; JSON-able."""
        here = {k: v for k, v in asdict(self).items() if k not in ("device", "batch_seconds", "trainable")}
        return here | {"layer": list(layers) if len(layers) > 1 else layers[0]}

    def running(self) -> dict[str, Any]:
        """How it runs, which decides nothing: arguments of :class:`codectok.units.SpeechEncoder`."""
        return {"device": self.device, "dtype": self.dtype, "batch_seconds": self.batch_seconds}


def open_encoder(options: EncoderOptions) -> Any:
    """Open the encoder of a name of the kind ``encoders``, else of a folder or hub id by the kind ``encoder_types``.

    Raises:
        FormatError: no such name, folder or id, or a ``model_type`` that is not known.
    """
    name = options.name
    if registry.known("encoders", name):
        return registry.find("encoders", name)(options)
    model_type = _model_type(name)
    if not registry.known("encoder_types", model_type):
        raise FormatError(
            f"{name} is a {model_type} model; known encoders are {', '.join(registry.names('encoder_types'))}: of "
            "others it is not known on what grid of samples their hidden states lie"
        )
    try:
        return registry.find("encoder_types", model_type)(options)
    except CodectokError:
        raise
    except NOT_BUILT as error:  # of values in its config that are used first when the encoder is made of the model
        reason = next(iter(str(error).splitlines()), "")[:200] or type(error).__name__
        raise FormatError(f"{name}: weights and config do not fit: {reason}") from None


def _model_type(name: str) -> str:
    try:
        if Path(name).is_dir():
            path = Path(name) / "config.json"
        else:
            from huggingface_hub import hf_hub_download

            tell_hub(LOG, name)

            path = Path(hf_hub_download(name, "config.json"))
        config = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:  # HTTP errors and ill-formed ids are of these, too
        reason = str(error).strip().splitlines()[0]
        raise FormatError(f"{name} is no readable model folder or hub id: {reason}") from None
    return str(config.get("model_type") if isinstance(config, dict) else None)
