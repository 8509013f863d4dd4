"""All augmentations in the order in which the world applies them, each with its own probability."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge

from codectok.errors import CodectokError
from codectok.settings.kinds import Share
from train_codec.augment.bandwidth import lowpass
from train_codec.augment.gain import flip, gain
from train_codec.augment.noise import COLOURS, add_noise, coloured_noise, recorded_noise
from train_codec.augment.reverb import recorded_room, reverb, synthetic_room
from train_codec.augment.speed import change_speed, draw_speed
from train_codec.data.clips import ClipArray


@dataclass
class Augment:
    """What is done to crops. Probabilities are per crop and 0 by default; ranges are drawn from uniformly."""

    speed_prob: Share = 0.0
    """Speed and pitch. Such crops have no teacher: their frames are not the clip's frames."""
    speed_min: Annotated[float, Ge(0.1)] = 0.9
    """Slowest, as a factor."""
    speed_max: Annotated[float, Ge(0.1)] = 1.1
    """Fastest, as a factor."""
    reverb_prob: Share = 0.0
    """A room."""
    reverb_rt60_min: Annotated[float, Ge(0.001)] = 0.1
    """Shortest reverberation time (60 dB), in seconds."""
    reverb_rt60_max: Annotated[float, Ge(0.001)] = 0.6
    """Longest, in seconds."""
    reverb_direct_min: float = 0.0
    """Least direct over reverberant energy, in dB."""
    reverb_direct_max: float = 12.0
    """Most, in dB."""
    reverb_folder: str = ""
    """Recorded impulse responses instead of synthetic rooms: a folder, manifest or tar shards."""
    noise_prob: Share = 0.0
    """Noise is added."""
    noise_snr_min: float = 5.0
    """Least signal over noise, in dB."""
    noise_snr_max: float = 30.0
    """Most, in dB."""
    noise_folder: str = ""
    """Recordings instead of white, pink and brown noise: a folder, manifest or tar shards."""
    lowpass_prob: Share = 0.0
    """High frequencies are cut off."""
    lowpass_hz_min: Annotated[float, Ge(10)] = 3000.0
    """Lowest edge in Hz; drawn evenly in octaves."""
    lowpass_hz_max: Annotated[float, Ge(10)] = 7000.0
    """Highest edge in Hz."""
    gain_prob: Share = 0.0
    """The level changes."""
    gain_db_min: float = -12.0
    """Least gain in dB."""
    gain_db_max: float = 4.0
    """Most gain in dB."""
    polarity_prob: Share = 0.0
    """The sign is turned."""

    def __post_init__(self) -> None:
        """Refuse a range upside down.

        Raises:
            CodectokError: there is one.
        """
        for name, value in vars(self).items():
            if name.endswith("_min") and not value <= getattr(self, f"{name[:-4]}_max"):
                raise CodectokError(f"{name} is {value}, above {name[:-4]}_max: exchange them")


class Augmenter:
    """The augmentations of crops at one sample rate.

    Input and target of the codec are both the augmented crop: a codec must code what it hears, noise and room included.

    Args:
        config: what to do.
        sample_rate: Hz.
        noise: recordings for ``noise_prob``; None to generate noise.
        rooms: impulse responses for ``reverb_prob``; None for synthetic rooms.
    """

    def __init__(
        self, config: Augment, sample_rate: int, noise: ClipArray | None = None, rooms: ClipArray | None = None
    ) -> None:
        self.config, self.sample_rate, self.noise, self.rooms = config, sample_rate, noise, rooms

    @classmethod
    def open(cls, config: Augment, sample_rate: int, cache: str | os.PathLike[str]) -> Augmenter:
        """With the folders of ``config`` decoded into ``cache``; one whose probability is 0 is not looked at."""
        from train_codec.data.build import CacheOptions
        from train_codec.data.sources import open_clips

        options = CacheOptions(min_seconds=0.0)

        def found(source: str, prob: float) -> ClipArray | None:
            return open_clips(source, "", Path(cache), sample_rate, options=options) if source and prob else None

        noise = found(config.noise_folder, config.noise_prob)
        return cls(config, sample_rate, noise, found(config.reverb_folder, config.reverb_prob))

    def speed(self, rng: np.random.Generator) -> float:
        """The factor of one crop; 1.0 leaves it as it is. Drawn before the crop is read, since it needs more audio."""
        c = self.config
        return draw_speed(rng, c.speed_min, c.speed_max) if rng.random() < c.speed_prob else 1.0

    def __call__(self, audio: np.ndarray, rng: np.random.Generator, factor: float = 1.0) -> np.ndarray:
        """Augment one crop, float32 [S]; S changes only with the speed.

        Args:
            audio: the crop.
            rng: all that is drawn comes from it, so the result is a pure function of the two.
            factor: of :meth:`speed`.
        """
        c = self.config
        chain: tuple[tuple[float, Callable[[np.ndarray], np.ndarray]], ...] = (
            (c.reverb_prob, lambda x: reverb(x, self._room(rng))),
            (
                c.noise_prob,
                lambda x: add_noise(x, self._noise(len(x), rng), rng.uniform(c.noise_snr_min, c.noise_snr_max)),
            ),
            (c.lowpass_prob, lambda x: lowpass(x, self._cutoff(rng), self.sample_rate)),
            (c.gain_prob, lambda x: gain(x, rng, c.gain_db_min, c.gain_db_max)),
            (c.polarity_prob, flip),
        )
        if factor != 1.0:
            audio = change_speed(audio, factor)
        for prob, apply in chain:
            if prob and rng.random() < prob:
                audio = apply(audio)
        peak = float(np.abs(audio).max(initial=0.0))
        return audio / np.float32(peak) if peak > 1.0 else audio

    def _room(self, rng: np.random.Generator) -> np.ndarray:
        c = self.config
        if self.rooms is not None:
            index = int(rng.integers(len(self.rooms)))
            return recorded_room(self.rooms.piece(index, 0, int(self.rooms.lengths[index])))
        rt60 = rng.uniform(c.reverb_rt60_min, c.reverb_rt60_max)
        return synthetic_room(rng, rt60, rng.uniform(c.reverb_direct_min, c.reverb_direct_max), self.sample_rate)

    def _noise(self, length: int, rng: np.random.Generator) -> np.ndarray:
        if self.noise is not None:
            return recorded_noise(length, self.noise, rng)
        return coloured_noise(length, COLOURS[rng.integers(len(COLOURS))], rng)

    def _cutoff(self, rng: np.random.Generator) -> float:
        low, high = np.log(self.config.lowpass_hz_min), np.log(self.config.lowpass_hz_max)
        return float(np.exp(rng.uniform(low, high)))
