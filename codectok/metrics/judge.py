"""A judge of what can still be understood: Whisper (Radford et al. 2022) writes down what it hears.

Greedy decoding in float32, without timestamps, in a language that is given and never guessed: the same clip gives the
same text each time. There are no second tries at a higher temperature as OpenAI's program has them, so a judge that
falls into repeating itself shows up as insertions. Each clip is padded with zeros to the 30 s that Whisper was trained
on; a longer one is refused.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from codectok import audio as _audio
from codectok.log import logger, tell_hub
from codectok.metrics.registry import MetricError, MetricUnavailable

LOG = logger(__name__)

RATE = 16000
"""Hz that Whisper hears."""
_ALIASES = {"nb": "no", "fil": "tl", "jv": "jw", "cmn": "zh", "iw": "he", "hbs": "sr"}
"""BCP 47 primary subtags that Whisper has under another name."""

LOOP_RATIO = 2.4
"""OpenAI's program takes a text for a loop if zlib makes it this many times shorter (Radford et al. 2022, 4.5)."""


def repeats_itself(text: str) -> bool:
    """Whether a judge's text is a loop rather than what it heard."""
    data = text.encode()
    return len(data) > LOOP_RATIO * len(zlib.compress(data))


class WhisperJudge:
    """A Whisper model that transcribes clips.

    Args:
        model: folder or hub id of a Whisper in transformers' format.
        device: where it runs.
        batch_size: clips heard at once. Float sums change with it, so that a near tie may then fall the other way:
            compare texts that were made with one batch size.

    Raises:
        MetricUnavailable: the package ``transformers`` is missing.
        MetricError: no such model, or it is no Whisper.
    """

    def __init__(self, model: str | os.PathLike[str], *, device: str = "cpu", batch_size: int = 1) -> None:
        try:
            import torch
            from transformers import AutoTokenizer, WhisperFeatureExtractor, WhisperForConditionalGeneration
        except ImportError as error:
            raise MetricUnavailable("transformers is not installed: pip install 'codectok[bench]'") from error
        if batch_size < 1:
            raise MetricError(f"batch_size is {batch_size}: give 1 or more")
        self.name, self.device, self.batch_size = os.fspath(model), device, batch_size
        loaded: Any = WhisperForConditionalGeneration
        tell_hub(LOG, self.name)
        try:
            self._extractor: Any = WhisperFeatureExtractor.from_pretrained(self.name)
            self._tokenizer: Any = AutoTokenizer.from_pretrained(self.name, trust_remote_code=False)
            self._model: Any = loaded.from_pretrained(self.name, dtype=torch.float32).eval().to(device)
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise MetricError(f"{self.name} is not a Whisper folder or hub id: {reason}") from error
        self._prompt = _Prompt(self.name, self._tokenizer.get_vocab(), self._model.generation_config)

    @property
    def languages(self) -> tuple[str, ...]:
        """Whisper's names of the languages that this judge can be asked for."""
        return tuple(sorted(self._prompt.languages))

    def language(self, tag: str) -> str:
        """Whisper's name of a language: ``fr`` of ``fr-CA`` (BCP 47), ``no`` of ``nb``.

        Raises:
            MetricError: the judge was not trained on it.
        """
        primary = tag.strip().lower().replace("_", "-").split("-")[0]
        known = next((name for name in (primary, _ALIASES.get(primary)) if name in self.languages), None)
        if known is None:
            raise MetricError(f"{self.name} does not know the language {tag!r}: leave these clips out")
        return known

    def transcribe(self, clips: Sequence[np.ndarray], rate: int, languages: Sequence[str]) -> list[str]:
        """Write down what is said.

        Args:
            clips: float [S] each, of up to 30 s.
            rate: Hz of all clips.
            languages: one BCP 47 tag a clip.

        Returns:
            One text a clip, as the judge writes it (not normalised); "" where it hears nothing.

        Raises:
            MetricError: a clip over 30 s, an unknown language, or not one language a clip.
            AudioError: a clip that is empty or not finite.
        """
        if len(clips) != len(languages):
            raise MetricError(f"{len(clips)} clips with {len(languages)} languages: give one language a clip")
        heard = [self._clip(clip, rate) for clip in clips]
        names = [self.language(tag) for tag in languages]
        texts: list[str] = []
        for start in range(0, len(heard), self.batch_size):
            stop = start + self.batch_size
            texts += self._batch(heard[start:stop], names[start:stop])
        return texts

    def _clip(self, clip: np.ndarray, rate: int) -> np.ndarray:
        samples = _audio.as_mono(clip)
        _audio.check_samples(samples)
        samples = _audio.resample(samples, rate, RATE)
        limit = self._extractor.chunk_length
        if len(samples) > limit * RATE:
            raise MetricError(f"a clip of {len(samples) / RATE:.1f} s: the judge hears {limit} s at most; cut it first")
        return samples

    def _batch(self, clips: list[np.ndarray], languages: list[str]) -> list[str]:
        import torch

        features = self._extractor(clips, sampling_rate=RATE, return_tensors="pt").input_features.to(self.device)
        new = torch.tensor([self._prompt.tokens(language) for language in languages], device=self.device)
        written: list[torch.Tensor] = []
        done = torch.zeros(len(clips), dtype=torch.bool, device=self.device)
        with torch.inference_mode():
            encoded = self._model.get_encoder()(features)
            past = None
            # Half of the decoder's positions, as in OpenAI's program; the other half is for a prompt.
            for step in range(self._model.config.max_target_positions // 2):
                out = self._model(encoder_outputs=encoded, decoder_input_ids=new, past_key_values=past, use_cache=True)
                past, scores = out.past_key_values, out.logits[:, -1]
                scores[:, self._prompt.banned(scores.shape[1], first=step == 0)] = -torch.inf
                new = scores.argmax(-1, keepdim=True)
                done |= new[:, 0] == self._prompt.end
                if done.all():
                    break
                written.append(new[:, 0].masked_fill(done, self._prompt.end))
        if not written:
            return [""] * len(clips)
        rows = torch.stack(written, 1).tolist()
        return [self._tokenizer.decode(row, skip_special_tokens=True).strip() for row in rows]


class _Prompt:
    """What a Whisper is told before it writes, and what it may not write; from its vocabulary.

    (``generate`` of transformers needs the same facts in the generation configuration, where not every folder has
    them.)
    """

    def __init__(self, name: str, vocabulary: dict[str, int], config: Any) -> None:
        try:
            self._start, translate = vocabulary["<|startoftranscript|>"], vocabulary["<|translate|>"]
            self._transcribe, self._plain = vocabulary["<|transcribe|>"], vocabulary["<|notimestamps|>"]
            self.end = vocabulary["<|endoftext|>"]
        except KeyError as error:
            raise MetricError(f"{name} is no Whisper: its vocabulary has no {error.args[0]}") from None
        self._multilingual = bool(getattr(config, "is_multilingual", True))
        marks = {index: text for text, index in vocabulary.items()}
        # The languages stand between the start and the tasks.
        between = range(self._start + 1, min(translate, self._transcribe))
        self.languages = {marks[i][2:-2]: i for i in between} if self._multilingual else {"en": -1}
        self._never = set(config.suppress_tokens or ()) - {self.end}
        self._not_first = self._never | set(config.begin_suppress_tokens or ())

    def tokens(self, language: str) -> list[int]:
        """Start, language, task, no timestamps; an English-only model knows no language and no task."""
        said = [self.languages[language], self._transcribe] if self._multilingual else []
        return [self._start, *said, self._plain]

    def banned(self, size: int, first: bool) -> list[int]:
        """All marks but the end of the text (timestamps among them), and what the model's configuration rules out."""
        listed = self._not_first if first else self._never
        return sorted({index for index in listed if index < size} | set(range(self._start, size)))
