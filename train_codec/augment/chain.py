"""All augmentations in the order in which the world applies them, each with its own probability."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codectok.errors import CodectokError
from train_codec.augment.bandwidth import lowpass
from train_codec.augment.gain import flip, gain
from train_codec.augment.noise import COLOURS, add_noise, coloured_noise, recorded_noise
from train_codec.augment.reverb import recorded_room, reverb, synthetic_room
from train_codec.augment.speed import change_speed, draw_speed
from train_codec.data.clips import ClipArray


@dataclass
class Augment:
    """What is done to crops. Probabilities are per crop and 0 by default; ranges are drawn from uniformly."""

    speed_prob: float = 0.0
    """Speed and pitch. Such crops have no teacher: their frames are not the clip's frames."""
    speed_min: float = 0.9
    speed_max: float = 1.1
    reverb_prob: float = 0.0
    reverb_rt60_min: float = 0.1
    """Seconds."""
    reverb_rt60_max: float = 0.6
    reverb_direct_min: float = 0.0
    """Direct over reverberant energy, in dB."""
    reverb_direct_max: float = 12.0
    reverb_folder: str = ""
    """Recorded impulse responses instead of synthetic rooms: a folder, manifest or tar shards."""
    noise_prob: float = 0.0
    noise_snr_min: float = 5.0
    """dB."""
    noise_snr_max: float = 30.0
    noise_folder: str = ""
    """Recordings instead of white, pink and brown noise: a folder, manifest or tar shards."""
    lowpass_prob: float = 0.0
    lowpass_hz_min: float = 3000.0
    """Hz; drawn evenly in octaves."""
    lowpass_hz_max: float = 7000.0
    gain_prob: float = 0.0
    gain_db_min: float = -12.0
    gain_db_max: float = 4.0
    polarity_prob: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values that no crop could be drawn with.

        Raises:
            CodectokError: a probability outside 0 to 1, a range upside down, or a value that is not above 0.
        """
        for name, value in vars(self).items():
            if name.endswith("_prob") and not 0.0 <= value <= 1.0:
                raise CodectokError(f"{name} is {value}: give a probability from 0 to 1")
            if name.endswith("_min") and not value <= getattr(self, f"{name[:-4]}_max"):
                raise CodectokError(f"{name} is {value}, above {name[:-4]}_max: exchange them")
        for name, lowest in (("speed_min", 0.1), ("reverb_rt60_min", 0.001), ("lowpass_hz_min", 10.0)):
            if getattr(self, name) < lowest:
                raise CodectokError(f"{name} is {getattr(self, name)}: give {lowest} or more")


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
