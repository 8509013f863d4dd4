"""A tiny language model, a tiny random speech encoder and noise with labels, for tests of models that hear."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from codectok.audio import write_audio
from codectok.llm.continuous.audio_input import AudioInput
from codectok.llm.continuous.heard_audio import AudioFrontEnd, Heard
from codectok.llm.continuous.speech_model import SpeechModel
from codectok.llm.continuous.speech_model_making import fit_gain, make_speech_model
from codectok.tokenizer import Tokenizer
from tests.llm.tiny_models import folder
from tests.units.conftest import MAKERS, noise

OPTIONS: dict[str, dict[str, Any]] = {
    "linear": {},
    "mlp": {"hidden": 8},
    "conv": {"strides": [2, 2], "kernels": [3, 3]},
    "frame-concat": {"ratio": 3, "hidden": 8},
    "qformer": {"dim": 8, "heads": 2, "window": 4, "depth": 1},
    "resampler": {"latents": 3, "dim": 8, "heads": 2, "depth": 1},
    "ctc": {},
    "xattn": {"heads": 2, "head_dim": 4, "feedforward": 8},
}
"""Of each projector, small ones."""


class Frames(Tokenizer):
    """Features made of the samples alone, and one codebook with vectors: an encoder that costs nothing."""

    sample_rate, feature_dim, codebook_sizes = 16000, 6, (8,)
    frame_rate: Fraction

    def __init__(self, name: str = "frames", hop: int = 320) -> None:
        self.name, self.fingerprint, self.hop, self.frame_rate = name, f"print of {name}", hop, Fraction(16000, hop)

    def num_frames(self, num_samples: int) -> int:
        return -(-num_samples // self.hop)

    def _features(self, clips: list[np.ndarray]) -> list[torch.Tensor]:
        found = []
        for clip in clips:
            frames = np.pad(clip, (0, -len(clip) % self.hop)).reshape(-1, self.hop)
            spectrum = np.abs(np.fft.rfft(frames, axis=1))[:, 1:61].reshape(-1, 6, 10).mean(2)
            found.append(torch.from_numpy(spectrum.astype(np.float32)))
        return found

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[torch.Tensor]:
        return [f.argmax(1)[None] for f in self._features(clips)]

    def _code_vectors(self, codebook: int) -> torch.Tensor:
        return torch.eye(8, 6)

    def _quantized_features(self, codes: torch.Tensor) -> torch.Tensor:
        return self._code_vectors(0)[codes[0]]


def speech_model(base: Path, projector: str = "linear", letters: str = "abc", **settings: Any) -> SpeechModel:
    """Of a base model and ``Frames``, its first values always the same."""
    torch.manual_seed(3)
    chosen = AudioInput(projector=projector, projector_options=OPTIONS[projector], **settings)
    count = 0 if chosen.input == "none" else len(chosen.encoders)
    hearing = AudioFrontEnd(chosen, tuple(Frames(f"frames{i}", 320 if i == 0 else 480) for i in range(count)))
    speech = make_speech_model(str(base), hearing, letters=letters if chosen.with_ctc else "")
    fit_gain(speech.model, [heard(speech, 9)])
    return speech


def heard(speech: SpeechModel, frames: int) -> Heard:
    """Noise of so many frames, as the model is given it."""
    return speech.hearing(lambda rate: noise(frames * 320, seed=frames))


def clips(folder: Path, words: tuple[str, ...] = ("stop", "go"), each: int = 3) -> Path:
    """A manifest id, path, text, keyword of low and high tones, one for each word, in noise."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["id\tpath\ttext\tkeyword"]
    for n in range(each * len(words)):
        word, seconds = words[n % len(words)], 0.2 + 0.02 * n
        time = np.arange(int(16000 * seconds)) / 16000
        tone = 0.3 * np.sin(2 * np.pi * 300 * (1 + 4 * (n % len(words))) * time)
        write_audio(folder / f"{n}.wav", (tone + 0.1 * noise(len(time), n)).astype(np.float32), 16000)
        lines.append(f"{n}\t{n}.wav\tplease {word}\t{word}")
    (folder / "clips.tsv").write_text("\n".join(lines) + "\n")
    return folder / "clips.tsv"


def encoder_folder(path: Path, family: str = "hubert-base") -> Path:
    """A tiny random speech encoder as a Hugging Face folder."""
    torch.manual_seed(0)
    model, extractor = MAKERS[family]()
    model.save_pretrained(path)
    extractor.save_pretrained(path)
    return path


def base_model(path: Path) -> Path:
    """A tiny random Llama with its text tokenizer."""
    return folder(path)
