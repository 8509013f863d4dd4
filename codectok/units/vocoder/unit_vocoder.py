"""Units to speech: a network that reads the control of a harmonic decoder off a sequence of units.

The decoder (:mod:`codectok.codec.harmonic`) shapes a pulse train and noise; what it wants to know 25 times a second is
what is said, pitch and envelope: latents of a trained codec, whose decoder the vocoder holds a copy of. Units say
nothing of pitch and voice, so the network learns what is usual after such units, for each speaker it was trained on,
and speaks as one of them. After the unit vocoders of speech resynthesis from discrete units (Polyak et al. 2021).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from codectok.codec.convnext import ConvNextStack
from codectok.codec.harmonic.config import HarmonicCodecConfig
from codectok.codec.harmonic.decoder import HarmonicDecoder
from codectok.codec.layers import Layers
from codectok.codec.model import State
from codectok.errors import CodectokError, FormatError

PITCH_STEPS = 64
"""To one of the pitch latents, which counts in fifteenths of the natural logarithm."""
BLOCK = 200
"""Unit frames decoded at a time by :meth:`UnitVocoder.decode`."""


@dataclass
class VocoderConfig:
    """Shape of a :class:`UnitVocoder`.

    Raises:
        FormatError: sizes that do not fit, or a speaker that is not in the list.
    """

    codebook_sizes: list[int]
    """Of the tokenizer."""
    hop: list[int]
    """Samples (at the decoder's rate) from one unit frame to the next, as a fraction [numerator, denominator]."""
    speakers: list[str]
    speaker: str
    """The one that speaks unless another is asked for."""
    decoder: dict[str, Any]
    """Fields of :class:`~codectok.codec.harmonic.HarmonicCodecConfig`."""
    dim: int = 256
    depth: int = 6
    kernel: int = 7
    ahead: int = 4
    """Frames of the decoder's network (20 ms in the default) that control is computed from beyond its own."""

    def __post_init__(self) -> None:
        if self.speaker not in self.speakers:
            raise FormatError(f"speaker {self.speaker!r} is not one of the vocoder's: {', '.join(self.speakers)}")
        if self.ahead % self.codec.merge:
            raise FormatError(f"ahead is {self.ahead}: give a multiple of the decoder's merge ({self.codec.merge})")
        self.decoder = asdict(self.codec)  # with what an older folder does not have yet

    @property
    def codec(self) -> HarmonicCodecConfig:
        """The decoder's."""
        return HarmonicCodecConfig(**self.decoder)


class UnitVocoder(nn.Module):
    """Codes [B, K, T] to samples, block by block with explicit state; causal, ``ahead`` frames late.

    Frame m of the decoder's network takes the units at its middle sample: units are repeated or skipped exactly,
    whatever their frame rate.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        self.config, self.codec = config, config.codec
        self.width = self.codec.waveform_at  # what units tell nothing about, the waveform, stays 0
        self.tables = Layers(nn.Embedding(size, config.dim) for size in config.codebook_sizes)
        self.voices = nn.Embedding(len(config.speakers), config.dim)
        self.blocks = ConvNextStack(config.dim, config.depth, config.kernel)
        self.norm = nn.LayerNorm(config.dim)
        self.output = nn.Linear(config.dim * self.codec.merge, self.width)
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("spread", torch.ones(self.width))
        self.decoder = HarmonicDecoder(self.codec)
        self.speaker = config.speakers.index(config.speaker)
        """Index of the speaker that speaks; see :meth:`speak_as`."""

    def speak_as(self, speaker: str) -> None:
        """Choose the speaker, one of ``config.speakers``; the default is ``config.speaker``.

        Raises:
            CodectokError: no such speaker.
        """
        if speaker not in self.config.speakers:
            raise CodectokError(f"no speaker {speaker!r}: give one of {', '.join(self.config.speakers)}")
        self.speaker = self.config.speakers.index(speaker)

    def unit_at(self, frame: Tensor | int) -> Any:
        """The unit frame at the middle of a frame of the decoder's network."""
        top, bottom = self.config.hop
        return (2 * frame + 1) * self.codec.frame * bottom // (2 * top)

    def num_code_frames(self, units: int) -> int:
        """Code frames of the decoder that cover so many unit frames."""
        top, bottom = self.config.hop
        return -(-(-(-units * top // bottom) + self.codec.mdct_hop) // self.codec.frame_size)

    def control(self, codes: Tensor, speakers: Tensor, state: State) -> tuple[Tensor, State]:
        """Codes on the network's frames [B, K, N], N a multiple of ``merge`` -> latents [B, N / merge, width].

        Standardised: times ``spread`` plus ``mean`` they are the codec's. Late by ``ahead`` frames.
        """
        y = self.voices(speakers)[:, None].expand(-1, codes.shape[2], -1)
        for table, column in zip(self.tables, codes.unbind(1), strict=False):
            y = y + table(column)
        y, state = self.blocks.step(y, state)
        y = self.norm(y)
        return self.output(y.reshape(len(y), -1, self.output.in_features)).float(), state

    def latents(self, control: Tensor) -> Tensor:
        """Standardised control [B, T, width] -> the decoder's latents [B, T, latent_dim]."""
        z = control * self.spread + self.mean
        return torch.cat([z, z.new_zeros(*z.shape[:2], self.codec.latent_dim - self.width)], 2)

    def settled(self, z: Tensor) -> Tensor:
        """Latents with the pitch on a grid of about .1 %.

        Phase adds up the pitch, and a network's output differs in its last digits with the shape of a block: without
        the grid, a stream would drift away from the whole.
        """
        pitch = slice(self.codec.pitch_at, self.codec.envelope_at)
        z[..., pitch] = (z[..., pitch] * PITCH_STEPS).round() / PITCH_STEPS
        return z

    def step(self, codes: Tensor, state: State, final: bool) -> tuple[Tensor, State]:
        """Codes int64 [B, K, T] (any T) -> the samples [B, S] they complete; all that is left, if ``final``."""
        before = state or {}
        # Unit frames got, network frames computed, code frames that are still too early: alike in the whole batch.
        counts = before.get("counts", torch.tensor([[0, 0, self.config.ahead // self.codec.merge]]))
        got, done, early = counts[0].tolist()
        held = torch.cat([before["held"], codes], 2) if before else codes
        got, merge = got + codes.shape[2], self.codec.merge
        if final:
            stop = self.num_code_frames(got) * merge + self.config.ahead if got else 0
        else:
            top, bottom = self.config.hop
            # The frames m with unit_at(m) < got.
            stop = max(0, -(-(2 * got * top - self.codec.frame * bottom) // (2 * self.codec.frame * bottom)))
            stop = max(done, stop // merge * merge)
        samples, after = codes.new_zeros(len(codes), 0).float(), dict(before)
        if stop > done:
            frames = torch.arange(done, stop, device=codes.device)
            index = self.unit_at(frames).clamp(max=got - 1) - (got - held.shape[2])
            speakers = torch.full((len(codes),), self.speaker, device=codes.device)
            y, after["blocks"] = self.control(held[:, :, index], speakers, before.get("blocks"))
            dropped = min(early, y.shape[1])
            early, y = early - dropped, y[:, dropped:]
            if y.shape[1]:
                samples, after["decoder"] = self.decoder.step(self.settled(self.latents(y)), before.get("decoder"))
        # The last unit is kept whatever comes: the end of the stream goes on with it.
        first = min(int(self.unit_at(stop)), got - 1) - (got - held.shape[2])
        after["held"] = held[:, :, max(0, first) :]
        after["counts"] = torch.tensor([[got, stop, early]]).expand(len(codes), -1)
        return samples, after

    @torch.inference_mode()
    def decode(self, codes: Tensor, num_samples: int) -> np.ndarray:
        """Codes int64 [K, T] -> float32 [num_samples] at the decoder's rate; silence beyond what the units cover."""
        parts, state = [torch.zeros(0)], None
        for block in codes[None].split(BLOCK, 2):
            samples, state = self.step(block, state, False)
            parts.append(samples[0].float().cpu())
        if codes.shape[1]:
            parts.append(self.step(codes[None, :, :0], state, True)[0][0].float().cpu())
        joined = torch.cat(parts)[:num_samples]
        return np.pad(joined.numpy(), (0, num_samples - len(joined)))
