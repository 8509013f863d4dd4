"""A model of transformers as a Tokenizer: one clip at a time, long ones in windows, samples out as samples in."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from codectok.audio.clip import AudioOrPath, clip_at, clips_at, no_rate
from codectok.audio.reader import read_audio
from codectok.audio.samples import as_mono, check_rate
from codectok.audio.windows import windows
from codectok.codec.adapter.family import Family
from codectok.errors import CodectokError
from codectok.files.atomic import copy_file
from codectok.tokenizer import Tokenizer
from codectok.tokens import Tokens


class TransformersTokenizer(Tokenizer):
    """Any :class:`.family.Family` behind the Tokenizer interface.

    **Batch = single.** Clips run one by one: the families' own batches let a clip see its padding.
    **Long = short.** Audio of more than ``window_frames`` runs in windows (:func:`codectok.audio.windows.windows`),
    which are part of the fingerprint; decoded windows fade into each other over one frame.
    **Exact lengths.** What a decoder gives beyond the clip is cut, and what it lacks at the end (DAC with odd strides:
    a few samples) is silence.

    Args:
        family: with its model.
        name: how messages call it.
        fingerprint: of the code space.
        decoder_fingerprint: of the decoder.
        device: to run on.
    """

    causal = False

    def __init__(
        self, family: Family, name: str, fingerprint: str, decoder_fingerprint: str = "", device: str = "cpu"
    ) -> None:
        self.family = family
        self.model: torch.nn.Module = family.model.to(device).eval()
        self.device = torch.device(device)
        self.name = name
        self.fingerprint, self.decoder_fingerprint = fingerprint, decoder_fingerprint
        self.sample_rate = family.sample_rate
        self.frame_rate = Fraction(family.input_rate, family.hop)
        self.codebook_sizes = family.codebook_sizes
        self.feature_dim = family.feature_dim
        self.can_decode = family.can_decode
        self.window_frames, self.overlap_frames = window_sizes(family)

    def num_frames(self, num_samples: int) -> int:
        """The family's formula, of the samples at the rate of its input."""
        return self.family.num_frames(self._at_input(num_samples))

    def _at_input(self, num_samples: int) -> int:
        """Samples at the rate of the input, of samples at the tokenizer's own."""
        return max(1, num_samples * self.family.input_rate // self.sample_rate)

    # -- encoding ---------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        def codes(latents: Tensor) -> Tensor:
            return self.family.quantize(latents, num_codebooks).T

        return [self._in_windows(clip, codes).T.contiguous().long() for clip in clips]

    @torch.inference_mode()
    def _features(self, clips: list[np.ndarray]) -> list[Tensor]:
        return [self._in_windows(clip, self.family.features).float() for clip in clips]

    def _in_windows(self, clip: np.ndarray, of_latents: Callable[[Tensor], Tensor]) -> Tensor:
        """What is made of the latents of each frame, [T, ...] on the CPU."""
        hop, parts = self.family.hop, []
        found = windows(self.family.num_frames(len(clip)), self.window_frames, self.overlap_frames)
        for w in found:
            end = len(clip) if w is found[-1] else w.stop * hop
            samples = torch.from_numpy(np.ascontiguousarray(clip[w.start * hop : end])).to(self.device)
            latents = self.family.latents(samples)
            parts.append(of_latents(latents[w.keep_from - w.start : w.keep_to - w.start]).cpu())
        return torch.cat(parts)

    def _encode_clips(self, audios: Sequence[AudioOrPath], rate: int | None, k: int) -> list[Tokens]:
        clips, lengths = self._read(audios, rate)
        return [self.tokens(codes, n) for codes, n in zip(self._encode(clips, k), lengths, strict=True)]

    def features_batch(self, audios: Sequence[AudioOrPath], rate: int | None = None) -> list[Tensor]:
        """See :meth:`codectok.Tokenizer.features_batch`."""
        return [f.clone() for f in self._features(self._read(audios, rate)[0])]

    def _read(self, audios: Sequence[AudioOrPath], rate: int | None) -> tuple[list[np.ndarray], list[int]]:
        """Clips at the rate of the input, and their lengths in samples at the tokenizer's own.

        Each is resampled once, from its own rate, also where the decoder's rate is another (NeuCodec).
        """
        if self.family.input_rate == self.sample_rate or isinstance(audios, (str, os.PathLike)):
            clips = clips_at(audios, rate, self.sample_rate)
            return clips, [len(clip) for clip in clips]
        clips, lengths = [], []
        for audio in audios:
            if isinstance(audio, (str, os.PathLike)):
                no_rate(audio, rate)
                samples, own = read_audio(audio)
            else:
                samples, own = as_mono(audio), check_rate(rate)
            clip = clip_at(samples, own, self.family.input_rate)
            lengths.append(math.ceil(len(samples) * self.sample_rate / own))
            clips.append(clip[: self._at_input(lengths[-1])])
        return clips, lengths

    # -- decoding ---------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def _decode(self, codes: list[Tensor], num_samples: list[int]) -> list[np.ndarray]:
        def piece(c: Tensor) -> Callable[[int, int], Tensor]:
            return lambda start, stop: self.family.dequantize(c[:, start:stop].to(self.device))

        return [self._synthesize(piece(c), c.shape[1], n) for c, n in zip(codes, num_samples, strict=True)]

    @torch.inference_mode()
    def _decode_features(self, features: Tensor, num_samples: int) -> np.ndarray:
        if not self.can_decode:
            raise CodectokError(self.why_not_decode())
        return self._synthesize(lambda a, b: features[a:b].to(self.device), len(features), num_samples)

    def _synthesize(self, vectors: Callable[[int, int], Tensor], num_frames: int, num_samples: int) -> np.ndarray:
        """Samples [num_samples] of the vectors of frames; windows fade into each other over one frame."""
        hop = self.family.hop * self.sample_rate // self.family.input_rate
        fade = torch.linspace(0, 1, hop)
        out = torch.zeros(max(num_samples, num_frames * hop))
        for w in windows(num_frames, self.window_frames, self.overlap_frames) if num_frames else []:
            stop = min(w.keep_to + 1, w.stop)
            made = self.family.synthesize(vectors(w.start, w.stop)).float().cpu()
            made = made[(w.keep_from - w.start) * hop : (stop - w.start) * hop]
            at = w.keep_from * hop
            if w.keep_from:
                before = out[at : at + hop][: len(made)]
                made[:hop] = torch.lerp(before, made[:hop], fade[: len(before)])
            out[at : at + len(made)] = made
        return out[:num_samples].numpy()

    # -- codes as vectors -------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def _code_vectors(self, codebook: int) -> Tensor:
        # Of the sum over codebooks, the part of one: what code 0 in those before it gives is taken away.
        codes = torch.zeros(codebook + 1, self.codebook_sizes[codebook], dtype=torch.int64, device=self.device)
        codes[codebook] = torch.arange(codes.shape[1])
        vectors = self.family.dequantize(codes)
        if codebook:
            vectors = vectors - self.family.dequantize(codes[:codebook, :1])
        return vectors.float().cpu()

    @torch.inference_mode()
    def _quantized_features(self, codes: Tensor) -> Tensor:
        return self.family.dequantize(codes.to(self.device)).float().cpu()

    # -- files ------------------------------------------------------------------------------------------------------

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Copy the model folder: ``config.json``, the weights, and the card where there is one."""
        if self.folder is None:
            raise CodectokError(f"{self.name} was not opened from a folder: save it with transformers")
        Path(folder).mkdir(parents=True, exist_ok=True)
        found = [p for pattern in ("*.safetensors", "*.json", "README.md") for p in sorted(self.folder.glob(pattern))]
        for path in found:
            copy_file(path, Path(folder) / path.name)

    def _move(self, device: torch.device) -> None:
        self.model.to(device)

    def __repr__(self) -> str:
        return f"TransformersTokenizer({self.name!r}, {self.family.model_class})"


def window_sizes(family: Family) -> tuple[int, int]:
    """Frames of a window, and of the overlap of two."""
    rate = family.input_rate / family.hop
    overlap = max(2, 2 * round(family.overlap_seconds * rate / 2))
    return max(overlap + 1, round(family.window_seconds * rate)), overlap
