"""A tokenizer, a speech encoder and a metric."""

from fractions import Fraction

import numpy as np
import torch

from codectok import Tokenizer
from codectok.fingerprint import fingerprint
from codectok.metrics import Metric
from codectok.units import SpeechEncoder


class Crossings(Tokenizer):
    """How often the waveform crosses zero in every 20 ms."""

    name, sample_rate, frame_rate, codebook_sizes, feature_dim = "crossings", 16000, Fraction(50), (320,), 1
    fingerprint = fingerprint({"tokenizer": "crossings"})

    def num_frames(self, num_samples):
        return -(-num_samples // 320)

    def _features(self, clips):
        frames = [np.pad(c, (0, -len(c) % 320)).reshape(-1, 320) >= 0 for c in clips]
        return [torch.from_numpy((f[:, 1:] != f[:, :-1]).sum(1, keepdims=True).astype(np.float32)) for f in frames]

    def _encode(self, clips, num_codebooks):
        return [f.T.long() for f in self._features(clips)]


class Power(SpeechEncoder):
    hop = receptive_field = 320

    def _prepare(self, samples):
        return torch.from_numpy(self._padded(samples)).reshape(1, -1, 320).square().mean(2, keepdim=True)

    def _stack(self, x, mask):
        return (x + 1e-10).log10()


def open_power(options):
    """The power of every 20 ms."""
    facts = {"layer_dim": 1, "layers": (0,), "window_frames": 3000, "overlap_frames": 0, **options.running()}
    return Power(torch.nn.Identity(), fingerprint=fingerprint({"encoder": "power"}), given=options.given((0,)), **facts)


OFFSET = Metric("offset", "offset", lambda x, rate: 100 * abs(float(np.mean(x))), "%", False, "", kind="reference-free")
"""How far the mean of the samples is from zero."""
