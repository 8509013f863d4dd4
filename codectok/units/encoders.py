"""Speech encoders as feature extractors: one layer's output, a frame for every hop of samples, whatever the length."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor, nn

from codectok.errors import AudioError
from codectok.units.windows import windows

SAMPLE_RATE = 16000
"""Hz that every supported encoder was trained on."""


class SpeechEncoder(abc.ABC):
    """Features of one layer of a speech model.

    **Frame grid.** S samples at 16 kHz give ``ceil(S / hop)`` frames. Frame t stands for the ``hop`` samples from
    ``offset + t * hop`` on, the middle of which is the middle of what the front end computes it from.

    **Batch = single.** Utterances are run one at a time and never padded to each other: the group norms of the
    "base" models run over time and cannot be masked.

    **Long = short.** Audio of more than ``window_frames`` is run in windows (:func:`codectok.units.windows.windows`).

    Subclasses implement :meth:`_prepare` and :meth:`_run`.

    Args:
        model: holds only the layers that are needed, and gives features as its last hidden state.
        dim: width D of the features.
        layer: 0 is the input to the first transformer layer, i the output of the i-th.
        fingerprint: of all that decides the features.
        window_frames: most frames run together.
        overlap_frames: that neighbouring windows share.
        dtype: "float32", or "bfloat16" for matrix products in bfloat16 (norms and sums stay float32).
    """

    sample_rate = SAMPLE_RATE
    hop: int
    """Samples from one frame to the next."""
    offset: int = 0
    """First sample of the span that frame 0 stands for."""

    def __init__(
        self,
        model: nn.Module,
        *,
        dim: int,
        layer: int,
        fingerprint: str,
        window_frames: int,
        overlap_frames: int,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        self.model = model.to(device).eval().requires_grad_(False)
        self.dim = dim
        self.layer = layer
        self.fingerprint = fingerprint
        self.window_frames = window_frames
        self.overlap_frames = overlap_frames
        self.device = torch.device(device)
        self.dtype = dtype

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second, exact."""
        return Fraction(self.sample_rate, self.hop)

    def num_frames(self, num_samples: int) -> int:
        """ceil(num_samples / hop)."""
        return -(-num_samples // self.hop)

    @torch.inference_mode()
    def features(self, audio: np.ndarray | Tensor) -> Tensor:
        """Features of one utterance.

        Args:
            audio: float [S] at 16 kHz.

        Returns:
            float32 [ceil(S / hop), D] on the CPU.

        Raises:
            AudioError: empty, not one-dimensional, or not finite.
        """
        samples = self._scale(_checked(audio))
        frames = self.num_frames(len(samples))
        out = torch.empty(frames, self.dim)
        for w in windows(frames, self.window_frames, self.overlap_frames):
            piece = samples[w.start * self.hop : w.stop * self.hop]
            inputs = self._prepare(piece).to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == "bfloat16"):
                found = self._run(inputs)
            out[w.keep_from : w.keep_to] = found[w.keep_from - w.start : w.keep_to - w.start].float().cpu()
        return out.clone()

    def features_batch(self, audios: Sequence[np.ndarray | Tensor]) -> list[Tensor]:
        """``features`` of each, one at a time."""
        return [self.features(audio) for audio in audios]

    def _scale(self, samples: np.ndarray) -> np.ndarray:
        """What is done to the utterance as a whole, before it is cut into windows: float32 [S] -> float32 [S]."""
        return samples

    @abc.abstractmethod
    def _prepare(self, samples: np.ndarray) -> Tensor:
        """One window of samples, float32 [S] -> the model's input, with a batch of 1."""

    def _run(self, inputs: Tensor) -> Tensor:
        """The model's input -> features [T, D]; T is at least ``ceil(S / hop)``."""
        return self.model(inputs).last_hidden_state[0]


def _checked(audio: np.ndarray | Tensor) -> np.ndarray:
    samples = np.asarray(audio, dtype=np.float32)
    if samples.ndim != 1 or not samples.size:
        raise AudioError(f"an encoder takes mono samples [S] with S >= 1, not an array of shape {samples.shape}")
    if not np.isfinite(samples).all():
        raise AudioError("the audio has NaN or infinite samples: repair it first")
    return samples
