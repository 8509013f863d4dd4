"""Speech encoders as feature extractors: chosen layers' outputs, a frame for every hop of samples."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from codectok.audio.windows import Window, windows
from codectok.errors import AudioError
from codectok.units.encoders.batching import batches
from codectok.units.encoders.conventions import Taps
from codectok.units.encoders.options import EncoderOptions, open_encoder

SAMPLE_RATE = 16000
"""Hz that every supported encoder was trained on."""


class SpeechEncoder(abc.ABC):
    """Features of one or several layers of a speech model.

    **Frame grid.** S samples at 16 kHz give, with H the ``hop`` and R the ``receptive_field`` of the front end,

    - ``padding="hop"``: ``ceil(S / H)`` frames. Frame t is centred on ``(t + 1/2) * H``: ``(R - H) / 2`` zeros are put
      before the samples, and behind them as many as the last frame needs.
    - ``padding="none"``: ``max(1, floor((S - R) / H) + 1)`` frames, as published units were made. Frame t is centred
      on ``t * H + R / 2``. Clips shorter than R are followed by zeros up to R.

    Frame t stands for the ``hop`` samples from ``offset + t * hop`` on.

    **Batch = single.** Front ends see one utterance at a time. Only the transformer runs padded batches, with the
    padded frames zeroed and masked; where a family's padding would leak, batches hold one length only.

    **Long = short.** Audio of more than ``window_frames`` is run in windows (:func:`codectok.audio.windows.windows`).

    Subclasses implement :meth:`_prepare` and :meth:`_stack`.

    Args:
        model: holds only the layers that are needed.
        taps: picks the layers out of a run of the model; without it, what the model gives is the features.
        layer_dim: width D of one layer.
        layers: in the order of the features. See :data:`codectok.units.encoders.conventions.CONVENTIONS`.
        convention: what the numbers of the layers mean.
        padding: "hop" or "none".
        given: the options it was opened with, for :meth:`options`.
        fingerprint: of all that decides the features.
        window_frames: most frames run together.
        overlap_frames: that neighbouring windows share.
        dtype: "float32", "bfloat16" for matrix products in bfloat16, or "int8" for linear layers in int8 (a CPU's
            dynamic quantization); norms and sums stay float32.
        batch_seconds: most seconds, padding included, that :meth:`features_batch` runs together; 0 for one utterance
            at a time. Default: 0 on a CPU, where batches are no faster, and 240 elsewhere.

    Examples:
        >>> from codectok.units import load_encoder
        >>> encoder = load_encoder("logmel", layer=0)
        >>> encoder.dim, encoder.frame_rate, encoder.num_frames(16001)
        (80, Fraction(100, 1), 101)
    """

    sample_rate = SAMPLE_RATE
    hop: int
    """Samples from one frame to the next."""
    receptive_field: int
    """Samples that the front end computes a frame from."""
    maskable: bool = False
    """Whether utterances of different lengths can be padded to each other."""

    def __init__(
        self,
        model: nn.Module,
        *,
        layer_dim: int,
        layers: tuple[int, ...],
        fingerprint: str,
        window_frames: int,
        overlap_frames: int,
        taps: Taps | None = None,
        convention: str = "hf",
        padding: str = "hop",
        given: dict[str, Any] | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        batch_seconds: float | None = None,
    ) -> None:
        self.model = model.to(device).eval().requires_grad_(False)
        self.layer_dim, self.layers = layer_dim, layers
        self.convention, self.padding = convention, padding
        self.fingerprint = fingerprint
        self.window_frames, self.overlap_frames = window_frames, overlap_frames
        self.device = torch.device(device)
        self.dtype = dtype
        self.batch_seconds = (0.0 if self.device.type == "cpu" else 240.0) if batch_seconds is None else batch_seconds
        self._taps, self._given = taps, given or {}

    def to(self, device: torch.device) -> None:
        """Run on another device from here on."""
        self.model.to(device)
        self.device = device

    @property
    def layer(self) -> int:
        """The layer, or the first of several."""
        return self.layers[0]

    @property
    def dim(self) -> int:
        """Width of the features: ``layer_dim * len(layers)``."""
        return self.layer_dim * len(self.layers)

    @property
    def name_or_path(self) -> str:
        """As given to :func:`codectok.units.load_encoder`."""
        return self._given.get("name", "")

    @property
    def offset(self) -> int:
        """First sample of the span that frame 0 stands for."""
        return (self.receptive_field - self.hop) // 2 if self.padding == "none" else 0

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second, exact."""
        return Fraction(self.sample_rate, self.hop)

    def options(self) -> dict[str, Any]:
        """What :func:`codectok.units.load_encoder` needs, beside the device, to open the same encoder; JSON-able."""
        return dict(self._given)

    def __reduce__(self) -> Any:
        # A process that it is sent to opens it again: torch's hooks of folded weight norms cannot be pickled.
        options = EncoderOptions(**self.options(), device=str(self.device), batch_seconds=self.batch_seconds)
        return open_encoder, (options,)

    def num_frames(self, num_samples: int) -> int:
        """Frames of ``num_samples`` samples S >= 1, by the formula of the class."""
        if self.padding == "hop":
            return -(-num_samples // self.hop)
        return max(1, (num_samples - self.receptive_field) // self.hop + 1)

    def features(self, audio: np.ndarray | Tensor) -> Tensor:
        """Features of one utterance.

        Args:
            audio: float [S] at 16 kHz.

        Returns:
            float32 [num_frames(S), dim] on the CPU: the layers side by side.

        Raises:
            AudioError: empty, not one-dimensional, or not finite.
        """
        return self.features_batch([audio])[0]

    @torch.inference_mode()
    def features_batch(self, audios: Sequence[np.ndarray | Tensor]) -> list[Tensor]:
        """``features`` of each, sorted by length and run in batches of at most ``batch_seconds``."""
        clips = [self._scale(_checked(audio)) for audio in audios]
        found = [torch.empty(self.num_frames(len(clip)), self.dim) for clip in clips]
        pieces = [
            (i, w) for i in range(len(clips)) for w in windows(len(found[i]), self.window_frames, self.overlap_frames)
        ]
        sizes = [self._run_frames(w.stop - w.start) for _, w in pieces]
        for batch in batches(sizes, self.batch_seconds * self.sample_rate / self.hop, not self.maskable):
            inputs = [self._prepare(self._span(clips[i], w)).to(self.device) for i, w in (pieces[j] for j in batch)]
            for j, out in zip(batch, self._run(inputs), strict=True):
                i, w = pieces[j]
                found[i][w.keep_from : w.keep_to] = out[w.keep_from - w.start : w.keep_to - w.start].float().cpu()
        # Tensors made in inference mode could not be used in training.
        with torch.inference_mode(False):
            return [x.clone() for x in found]

    def feature_blocks(self, audio: np.ndarray | Tensor) -> Iterator[Tensor]:
        """``features`` of one utterance of any length, a window at a time: float32 [T', dim] each.

        Joined along time they are ``features``, which would hold an hour of them in memory.
        """
        blocks = self._blocks(audio)
        while True:
            with torch.inference_mode():
                kept = next(blocks, None)
            if kept is None:
                return
            yield kept.cpu().clone()

    def learning_features(self, audio: np.ndarray | Tensor) -> Tensor:
        """``features`` of one utterance, float32 [T, dim] on the encoder's device, with their gradient.

        Of an encoder that was opened as ``trainable``: others run layers that have none.
        """
        return torch.cat(list(self._blocks(audio)))

    def _blocks(self, audio: np.ndarray | Tensor) -> Iterator[Tensor]:
        clip = self._scale(_checked(audio))
        for w in windows(self.num_frames(len(clip)), self.window_frames, self.overlap_frames):
            out = self._run([self._prepare(self._span(clip, w)).to(self.device)])[0]
            yield out[w.keep_from - w.start : w.keep_to - w.start].float()

    def _span(self, clip: np.ndarray, w: Window) -> np.ndarray:
        """The samples that a window's frames are computed from."""
        if self.padding == "hop":
            return clip[w.start * self.hop : w.stop * self.hop]
        # The utterance's last samples count in the norms of the front ends though they make no frame of their own.
        ends = w.stop == self.num_frames(len(clip))
        span = clip[w.start * self.hop : None if ends else (w.stop - 1) * self.hop + self.receptive_field]
        return np.pad(span, (0, max(0, self.receptive_field - len(span))))

    def _padded(self, samples: np.ndarray) -> np.ndarray:
        """A window with the zeros that ``padding="hop"`` asks for."""
        if self.padding == "none":
            return samples
        before = (self.receptive_field - self.hop) // 2
        needed = (-(-len(samples) // self.hop) - 1) * self.hop + self.receptive_field
        return np.pad(samples, (before, needed - before - len(samples)))

    def _run_frames(self, frames: int) -> int:
        """Frames that the model runs for a window of ``frames``."""
        return frames

    def _run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Prepared windows, each with a batch of 1 -> features [T, dim] of each, with T at least its frames."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == "bfloat16"):
            fronts = [self._front(x)[0] for x in inputs]
            lengths = [len(x) for x in fronts]
            mask = None
            if len(set(lengths)) > 1:
                mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
                mask = mask.to(self.device)
            last = self._stack(pad_sequence(list(fronts), batch_first=True), mask)
            out = last if self._taps is None else self._taps.collect(last)
        return list(out)

    def _scale(self, samples: np.ndarray) -> np.ndarray:
        """What is done to the utterance as a whole, before it is cut into windows: float32 [S] -> float32 [S]."""
        return samples

    @abc.abstractmethod
    def _prepare(self, samples: np.ndarray) -> Tensor:
        """One window of samples, float32 [S] -> the model's input, with a batch of 1."""

    def _front(self, inputs: Tensor) -> Tensor:
        """The model's input -> what its transformer takes, [1, T, C]."""
        return inputs

    @abc.abstractmethod
    def _stack(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """[B, T, C], zero where ``mask`` [B, T] is False -> the model's last hidden state [B, T, D]."""


def _checked(audio: np.ndarray | Tensor) -> np.ndarray:
    samples = np.asarray(audio, dtype=np.float32)
    if samples.ndim != 1 or not samples.size:
        raise AudioError(f"an encoder takes mono samples [S] with S >= 1, not an array of shape {samples.shape}")
    if not np.isfinite(samples).all():
        raise AudioError("the audio has NaN or infinite samples: repair it first")
    return samples
