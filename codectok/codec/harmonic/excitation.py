"""The decoder's source: a pulse train, its quadrature and noise, as MDCT coefficients of unit variance.

A voice is a source and a filter. Neural source-filter models (Wang, Takaki & Yamagishi 2019) and DDSP (Engel et al.
2020) give a network the source, so that it need not invent a phase that stays coherent over hundreds of frames, the one
thing that a network at the frame rate does badly. Here both source and filter live in the MDCT domain: the network
weighs these coefficients bin by bin.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from codectok.codec.harmonic.noise import noise_table
from codectok.codec.mdct import Mdct
from codectok.codec.model import State

HIGHEST = 0.47
"""Highest harmonic, as a share of the sample rate: below its half, so that a gliding pitch does not alias."""
GRID = 4096
"""Pitches are multiples of 1 / GRID Hz, so that phase can be summed in integers."""


def pulse_pair(phase: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of ``count`` harmonics of unit variance: of cosines (a pulse train) and of sines (its quadrature).

    In closed form, the Dirichlet kernel and its conjugate: with theta = 2 pi (phase - 1/2),
    sum cos(h theta) = sin((count + 1/2) theta) / (2 sin(theta / 2)) - 1/2, and
    sum sin(h theta) = (cos(theta / 2) - cos((count + 1/2) theta)) / (2 sin(theta / 2)).

    Args:
        phase: cycles, [B, S], float64; pulses stand at 1/2.
        count: harmonics, float32, [B, S].
    """
    theta = (2 * math.pi * (phase - 0.5)).float()
    top = (count + 0.5) * theta
    sine = torch.sin(theta / 2)
    near = sine.abs() < 1e-4  # on the pulse: 0 / 0, so the first term of the series
    twice = 2 * torch.where(near, 1e-4, sine)
    cosines = torch.where(near, count, torch.sin(top) / twice - 0.5)
    sines = torch.where(near, 0.5 * count * (count + 1) * theta, (torch.cos(theta / 2) - torch.cos(top)) / twice)
    gain = (2 / count).sqrt()
    return cosines * gain, sines * gain


class Excitation(nn.Module):
    """Pitch to harmonic, quadrature and noise coefficients; has no parameters.

    Phase is an integral over the whole stream, so rounding that depends on how the stream was cut would add up without
    limit. Pitches are therefore on a grid (see :meth:`HarmonicDecoder.hertz`), and the cycles of whole frames are
    counted in integers: the phase at the start of a frame is exact, an hour into a stream as in its first second.

    Args:
        sample_rate: Hz.
        hop: of the MDCT, samples.
        frame: samples that each pitch value holds for.
        noise_frames: MDCT frames before the noise repeats.
    """

    table: Tensor

    def __init__(self, sample_rate: int, hop: int, frame: int, noise_frames: int) -> None:
        super().__init__()
        self.sample_rate, self.frame = sample_rate, frame
        self.cycle = 2 * GRID * sample_rate  # what a cycle is counted in
        self.mdct = Mdct(hop)
        self.register_buffer("table", torch.from_numpy(noise_table(noise_frames, hop)), persistent=False)

    def start(self, batch: int, generator: torch.Generator | None = None) -> State:
        """Where to begin streams: at phase 0 and the first noise frame, or at random ones drawn on the CPU.

        ``phase`` float64 [B, 1] in cycles, and ``at`` int64 [B, 1], the next row of the noise table.
        """
        if generator is None:
            phase, at = torch.zeros(batch, 1, dtype=torch.float64), torch.zeros(batch, 1, dtype=torch.int64)
        else:
            phase = torch.rand(batch, 1, dtype=torch.float64, generator=generator)
            at = torch.randint(len(self.table), (batch, 1), generator=generator)
        return {"phase": phase.to(self.table.device), "at": at.to(self.table.device)}

    def step(self, f0: Tensor, state: State) -> tuple[Tensor, Tensor, Tensor, State]:
        """One block.

        Args:
            f0: Hz on the grid, float64 [B, T]. In a frame the pitch glides from the value before for half of it, then
                stays.
            state: that of the last block; None or a :meth:`start` begins a stream.

        Returns:
            Harmonic, quadrature and noise coefficients, float32 [B, T * frame / hop, hop] each, and the state.
        """
        before = self.start(len(f0)) if state is None else state
        first = before["cycles"] if "cycles" in before else (before["phase"] * self.cycle).long()
        previous = torch.cat([before.get("f0", f0[:, :1]), f0[:, :-1]], 1)
        passed = (first + self._cycles(previous, f0).cumsum(1)) % self.cycle
        begin = torch.cat([first, passed[:, :-1]], 1)
        track = self._track(previous, f0)
        phase = begin[..., None].double() / self.cycle + torch.cumsum(track / self.sample_rate, 2)
        phase = (phase - phase.floor()).flatten(1)
        count = (HIGHEST * self.sample_rate / track.flatten(1).float()).floor()
        past = torch.cat(before["mdct"]) if "mdct" in before else None
        coefficients, carried = self.mdct.step(torch.cat(pulse_pair(phase, count)), past)
        harmonic, quadrature = coefficients.chunk(2)
        n = harmonic.shape[1]
        at = (before["at"] + torch.arange(n, device=f0.device)) % len(self.table)
        after = {
            "f0": f0[:, -1:],
            "cycles": passed[:, -1:],
            "at": (before["at"] + n) % len(self.table),
            "mdct": carried.chunk(2),  # apart, so that the batch comes first in every tensor of the state
        }
        return harmonic, quadrature, self.table[at], after

    def _track(self, previous: Tensor, f0: Tensor) -> Tensor:
        """Pitch of every sample, [B, T, frame]."""
        half = self.frame // 2
        ramp = (torch.arange(half, device=f0.device, dtype=f0.dtype) + 1) / half
        gliding = previous[..., None] + (f0 - previous)[..., None] * ramp
        return torch.cat([gliding, f0[..., None].expand(*f0.shape, self.frame - half)], 2)

    def _cycles(self, previous: Tensor, f0: Tensor) -> Tensor:
        """Sum of the track over each frame, int64 [B, T] in 1 / ``cycle``; that of the ramp is (half + 1) / 2."""
        half = self.frame // 2
        before, after = ((q * GRID).round().long() for q in (previous, f0))
        return 2 * half * before + (half + 1) * (after - before) + 2 * (self.frame - half) * after
