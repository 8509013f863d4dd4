"""Speaker similarity: the cosine of two clips' speaker embeddings, by an encoder that is named."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from codectok.log import logger, tell_hub
from codectok.metrics.registry import Metric, MetricError, MetricUnavailable
from codectok.metrics.signal import RATE, finite, one_clip

LOG = logger(__name__)

DEFAULT = "resemblyzer"
INSTALL = "pip install --no-deps resemblyzer && pip install librosa webrtcvad-wheels"


class SpeakerEncoder(Protocol):
    """Anything that maps a clip to a vector in which one speaker's clips lie close together."""

    name: str

    def embed(self, clip: np.ndarray) -> np.ndarray:
        """Float [D] of float [S] at 16 kHz."""
        ...


class GE2E:
    """The LSTM of Wan et al. 2018, with the weights that the package ``resemblyzer`` carries.

    Raises:
        MetricUnavailable: the package is missing.
    """

    name = "resemblyzer (GE2E)"

    def __init__(self, device: str = "cpu") -> None:
        try:
            import resemblyzer
        except ImportError as error:
            raise MetricUnavailable(f"speaker similarity: resemblyzer is not installed: {INSTALL}") from error
        self._package: Any = resemblyzer
        self._model: Any = resemblyzer.VoiceEncoder(device, verbose=False)

    def embed(self, clip: np.ndarray) -> np.ndarray:
        """Float [256] of float [S] at 16 kHz; silence is cut out first, as the model was trained."""
        voiced = self._package.preprocess_wav(clip.astype(np.float32), RATE)
        if not len(voiced):
            raise MetricError("speaker similarity: no voice in the clip")
        return np.asarray(self._model.embed_utterance(voiced))


class XVectorModel:
    """A speaker model of transformers (WavLM, wav2vec 2.0, UniSpeech-SAT with an x-vector head), e.g. wavlm-base-sv.

    Args:
        model: folder or hub id.
        device: where it runs.

    Raises:
        MetricUnavailable: the package ``transformers`` is missing.
        MetricError: no such model.
    """

    def __init__(self, model: str | os.PathLike[str], device: str = "cpu") -> None:
        try:
            from transformers import AutoFeatureExtractor, AutoModelForAudioXVector
        except ImportError as error:
            raise MetricUnavailable("transformers is not installed: pip install 'codectok[bench]'") from error
        self.name, self._device = os.fspath(model), device
        tell_hub(LOG, self.name)
        try:
            self._extractor: Any = AutoFeatureExtractor.from_pretrained(self.name, trust_remote_code=False)
            opened: Any = AutoModelForAudioXVector.from_pretrained(self.name, trust_remote_code=False)
            self._model = opened.eval().to(device)
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise MetricError(f"{self.name} is no speaker model (a folder or hub id): {reason}") from error

    def embed(self, clip: np.ndarray) -> np.ndarray:
        """Float [D] of float [S] at 16 kHz."""
        import torch

        values = self._extractor(clip.astype(np.float32), sampling_rate=RATE, return_tensors="pt").input_values
        with torch.inference_mode():
            try:
                return self._model(values.to(self._device)).embeddings[0].float().cpu().numpy()
            except RuntimeError as error:
                raise MetricError(f"speaker similarity: {len(clip)} samples are too short for {self.name}") from error


@lru_cache(maxsize=2)
def open_speaker_encoder(name: str = DEFAULT, device: str = "cpu") -> SpeakerEncoder:
    """The encoder named "resemblyzer", or an x-vector model by its folder or hub id.

    Raises:
        MetricUnavailable: its package is missing.
        MetricError: no such model.
    """
    return GE2E(device) if name == DEFAULT else XVectorModel(name, device)


def speaker_similarity(
    reference: np.ndarray, estimate: np.ndarray, rate: int, encoder: SpeakerEncoder | None = None
) -> float:
    """Cosine of the embeddings of two clips (of any lengths), -1 to 1; 1 is the same voice.

    Figures of two encoders do not compare: name the encoder beside them.

    Raises:
        MetricUnavailable: the encoder's package is missing.
        MetricError: silence, or too short.
    """
    encoder = encoder or open_speaker_encoder()
    first, second = (encoder.embed(one_clip(x, rate)).astype(np.float64) for x in (reference, estimate))
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    if not lengths:
        raise MetricError("speaker similarity: the encoder says nothing of a clip")
    return finite(float(first @ second) / lengths, "speaker similarity")


SPK_SIM = Metric("spk_sim", "speaker sim.", speaker_similarity, "", True, "Wan et al., ICASSP 2018 (GE2E)", 3, INSTALL)
"""Cosine of a speaker encoder's vectors of the two clips."""
