"""Training a unit vocoder: control of a trained harmonic decoder, by regression on its own codec's latents.

No waveform is needed for most of it, so a step costs a network at the frame rate and nothing else. Absolute error, not
squared: where units leave pitch or envelope open, the median is a voice that somebody has, the mean a blur.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codectok import load
from codectok.codec.harmonic import HarmonicCodec
from codectok.codec.tokenizer import CodecTokenizer
from codectok.errors import FormatError
from codectok.metrics.reconstruction import scores_of
from codectok.units.vocoder.folder import open_vocoder, save_vocoder
from codectok.units.vocoder.unit_vocoder import UnitVocoder, VocoderConfig
from train_codec.ceiling import ceiling_loss
from train_codec.data import open_clips
from train_codec.losses import LevelLosses, MelLoss, to_level
from train_codec.student.loop import Loop
from train_codec.student.pairs import open_pairs, speakers_of
from train_codec.student.settings import VocoderRecipe
from train_codec.validate import METRICS, entries

HELD_OUT = 64
"""One clip in so many is not trained on, but scored."""
HEARD_DBFS = -20.0
"""Level that losses of the audio are computed at."""
COLD = 6
"""Code frames at the start of a crop, not of a clip, that are not scored: their past is missing."""


class VocoderLoop(Loop):
    """One run; the averaged network with the decoder is the vocoder that is released."""

    recipe: VocoderRecipe

    def __init__(self, recipe: VocoderRecipe) -> None:
        super().__init__(recipe)
        self.own = recipe.own
        if not self.own.tokenizer:
            raise FormatError("the vocoder is for a unit tokenizer: give tokenizer=FOLDER")
        tokenizer, speech = load(self.own.tokenizer), load(self.own.decoder)
        self.tokenizer = tokenizer
        if not isinstance(speech, CodecTokenizer) or not isinstance(speech.model, HarmonicCodec):
            raise FormatError(f"decoder {self.own.decoder!r} is not a harmonic codec: give speech-1, or one like it")
        self.codec = speech.model
        d, rate = recipe.data, self.codec.sample_rate
        self.clips = open_clips(d.data, "fit", d.cache, rate, splits=d.splits, val_share=d.val_share)
        self.pairs = open_pairs(self.clips, tokenizer, speech, Path(d.cache) / "vocoder")
        names = speakers_of(self.clips, d.splits)
        hop = Fraction(rate) / tokenizer.frame_rate
        self.vocoder = self._network(tokenizer.codebook_sizes, hop, names)
        self.speaker = np.array([self.vocoder.config.speakers.index(n) for n in names])
        held = np.arange(len(self.clips)) % HELD_OUT == HELD_OUT - 1
        self.ends = np.cumsum(np.where(held, 0, self.pairs.frames))
        self.held = np.flatnonzero(held)
        self.frames = max(1, round(d.crop_seconds * rate / self.codec.frame_size))
        self.step_seconds = d.batch * self.frames * self.codec.frame_size / rate
        self.mel, self.level = MelLoss(rate).to(self.device), LevelLosses(rate).to(self.device)
        own = self.own
        weights = {"level": own.level_weight, "bands": own.bands_weight, "excess": own.excess_weight}
        self.level_weights = {k: w for k, w in weights.items() if w}
        self.start(self.vocoder, () if self.own.train_decoder else ("decoder.",))

    def _network(self, sizes: tuple[int, ...], hop: Fraction, names: list[str]) -> UnitVocoder:
        s, seconds = self.own, Counter[str]()
        for name, frames in zip(names, self.pairs.frames.tolist(), strict=True):
            seconds[name] += frames
        config = VocoderConfig(
            codebook_sizes=list(sizes),
            hop=[hop.numerator, hop.denominator],
            speakers=sorted(seconds),
            speaker=s.speaker or seconds.most_common(1)[0][0],
            decoder=asdict(self.codec.config),
            dim=s.vocoder_dim,
            depth=s.vocoder_depth,
            ahead=s.vocoder_ahead,
        )
        vocoder = UnitVocoder(config)
        if s.start_from:
            begun = open_vocoder(s.start_from, sizes, self.codec.sample_rate)
            if begun.config != config:
                raise FormatError(f"start_from {s.start_from!r} is a vocoder of another shape: use its recipe")
            vocoder.load_state_dict(begun.state_dict())
            return vocoder
        vocoder.decoder.load_state_dict(self.codec.decoder.state_dict())
        latents = self.pairs.latents.astype(np.float32)
        vocoder.mean.copy_(torch.from_numpy(latents.mean(0)))
        vocoder.spread.copy_(torch.from_numpy(latents.std(0) + 1e-3))
        return vocoder

    # -- a step -------------------------------------------------------------------------------------------------------

    def crop(self, clip: int, start: int, frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Code frames ``start`` up to ``start + frames`` of a clip; beyond its end the last unit goes on.

        Returns:
            Units on the network's frames int32 [frames * merge + ahead, K], latents float32 [frames, width], and
            which of the code frames count, bool [frames].
        """
        merge, ahead = self.codec.config.merge, self.vocoder.config.ahead
        units = self.pairs.codes[self.pairs.unit_starts[clip] : self.pairs.unit_starts[clip + 1]]
        latents = self.pairs.latents[self.pairs.latent_starts[clip] : self.pairs.latent_starts[clip + 1]]
        at = self.vocoder.unit_at(torch.arange(start * merge, (start + frames) * merge + ahead)).numpy()
        rows = start + np.arange(frames)
        counted = (rows < len(latents)) & ((start == 0) | (rows >= start + COLD))
        return (
            units[np.minimum(at, len(units) - 1)],
            latents[np.minimum(rows, len(latents) - 1)].astype(np.float32),
            counted,
        )

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """Units [B, K, N], latents [B, T, width], which count [B, T], speakers [B], audio [B, S] (or none)."""
        d = self.recipe.data
        rng = np.random.default_rng((self.recipe.run.seed, step))
        which = np.searchsorted(self.ends, rng.integers(0, self.ends[-1], d.batch), side="right")
        slots = np.maximum(self.pairs.frames[which] - self.frames, 0) + 1
        starts = (rng.random(d.batch) * slots).astype(np.int64)
        rows = [self.crop(int(c), int(s), self.frames) for c, s in zip(which, starts, strict=True)]
        units, latents, counted = (torch.from_numpy(np.stack(x)) for x in zip(*rows, strict=True))
        audio = np.zeros((d.batch, self.frames * self.codec.frame_size), np.float32)
        if step >= self.own.mel_from:
            size = self.codec.frame_size
            for out, c, s in zip(audio, which, starts, strict=True):
                piece = self.clips.piece(int(c), int(s) * size, len(out))
                out[: len(piece)] = piece
        return units.mT.long(), latents, counted, torch.from_numpy(self.speaker[which]), torch.from_numpy(audio)

    def losses(self, batch: Any) -> dict[str, Tensor]:
        """L1 of the standardised latents, slice by slice; from ``mel_from`` on losses of the audio that counts, too."""
        units, latents, counted, speakers, audio = (x.to(self.device) for x in batch)
        vocoder = self.vocoder
        control, _ = vocoder.control(units, speakers, None)
        control = control[:, vocoder.config.ahead // self.codec.config.merge :]
        terms = self._errors(control, (latents - vocoder.mean) / vocoder.spread, counted)
        if self.step >= self.own.mel_from:
            samples, ceilings, _ = vocoder.decoder.outputs(vocoder.latents(control), None)
            terms |= self._heard(samples.float(), audio, counted)
            if ceilings is not None and self.own.train_decoder:
                terms["ceiling"] = self.own.ceiling_weight * ceiling_loss(self.codec, ceilings, audio)
        return terms

    def _heard(self, samples: Tensor, audio: Tensor, counted: Tensor) -> dict[str, Tensor]:
        """Losses of samples [B, S'] against audio [B, S], of the code frames [B, S / frame_size] that count."""
        mask = counted.repeat_interleave(self.codec.frame_size, 1)[:, : samples.shape[1]]
        predicted, target = to_level(samples * mask, audio[:, : samples.shape[1]] * mask, HEARD_DBFS)
        terms = {"mel": self.own.mel_weight * self.mel(predicted, target)}
        if self.level_weights:
            levels = self.level(predicted, target)
            terms |= {k: w * levels[k] for k, w in self.level_weights.items()}
        return terms

    def _errors(self, control: Tensor, target: Tensor, counted: Tensor) -> dict[str, Tensor]:
        c = self.codec.config
        with torch.autocast(self.device.type, enabled=False):
            error = (control.float() - target).abs()[counted]
            return {
                "semantic": error[:, : c.pitch_at].mean(),
                "pitch": error[:, c.pitch_at : c.envelope_at].mean(),
                "envelope": error[:, c.envelope_at :].mean(),
            }

    # -- results ------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The errors on clips that are not trained on, and how they sound, by the names of a codec's validation."""
        sums: Counter[str] = Counter()
        heard = scores_of(len(self.tokenizer.codebook_sizes), self.tokenizer.bitrate(), METRICS)
        vocoder: Any = self.average
        chosen = self.held[: self.own.val_clips]
        for clip in chosen:
            units, latents, counted = self.crop(int(clip), 0, int(self.pairs.frames[clip]))
            speaker = torch.tensor([self.speaker[clip]], device=self.device)
            codes = torch.from_numpy(units.T[None]).long().to(self.device)
            control = vocoder.control(codes, speaker, None)[0][:, vocoder.config.ahead // self.codec.config.merge :]
            target = (torch.from_numpy(latents).to(self.device) - vocoder.mean) / vocoder.spread
            terms = self._errors(control, target[None], torch.from_numpy(counted)[None].to(self.device))
            sums.update({f"held_out_{k}": float(v) / len(chosen) for k, v in terms.items()})
            samples, _ = vocoder.decoder.step(vocoder.latents(control), None)
            original = self.clips.read(self.clips.clips[int(clip)])
            decoded = samples[0].float().cpu().numpy()
            length = min(len(original), len(decoded))
            heard.add(original[:length], decoded[:length], self.codec.sample_rate)
        return dict(sums) | (entries(heard) if heard.num_clips else {})

    def export(self) -> Path:
        """Write the averaged vocoder in float16; returns the folder ``vocoder``, to put into the tokenizer's."""
        vocoder: Any = self.average
        save_vocoder(vocoder.eval(), self.out / "vocoder", torch.float16)
        return self.out / "vocoder"
