"""Text to speech of one voice (DASB, Mousavi et al. 2024: LJSpeech): text to what an input says, then its decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from codectok.metrics.intelligibility import normalise
from codectok.settings.build import build_from

from ..batches import num_frames
from ..contract import RATE, Example, Outcome
from ..datasets import read_clip
from .scoring import score_clips
from .sound import Gathered, GenerativeOptions, model_loss
from .task import Assignment, Task, TaskError, answers


class SpeechSynthesis(Task):
    """Examples are the speech; the text is their clips' label. ``options``: :class:`GenerativeOptions`."""

    name = "tts"
    label = "text to speech"
    probes = ("tokotron-small", "tokotron-deep")
    metrics = ("distillmos", "dwer", "dcer", "spk_sim")
    generative = True
    shuffled_floor = False

    def check(self, options: Mapping[str, Any]) -> None:
        """See :meth:`Task.check`."""
        build_from(GenerativeOptions, options, "options")

    def _run(self, given: Assignment) -> Outcome:
        from ..probes.generative import moments_of
        from ..probes.generative_speech import Alphabet, Speaker

        info, split, context = given.info, given.split, given.context
        opened = context.input
        assert opened is not None
        options = build_from(GenerativeOptions, context.options, "options")
        train = [e for e in split.train if normalise(e.clip.label) and num_frames(e)]
        if not train:
            raise TaskError("tts needs training clips with a text: their label is empty")
        opened.to_audio([train[0].x], [train[0].num_samples])  # there must be a way back
        alphabet = Alphabet([e.clip.label for e in train])
        pace = max(num_frames(e) / len(normalise(e.clip.label)) for e in train)
        moments = None if info.kind == "discrete" else moments_of([e.x for e in train])

        fitted = given.fit(
            lambda: Speaker(given.probe, info, alphabet, pace, options.probe, moments),
            model_loss,
            train,
            split.valid,
            lambda model, examples: -float(model_loss(model, examples)),
        )
        model: Any = fitted.model

        def predict(examples: Sequence[Example]) -> list[np.ndarray]:
            said = model.speak([e.clip.label for e in examples])
            frames = [s.shape[1] if info.kind == "discrete" else len(s) for s in said]
            return opened.to_audio(said, [int(n * RATE / info.frame_rate) for n in frames])

        gathered = Gathered(options.sound.audio_clips)
        for test, clips in given.dataset.tests.items():
            found, missing = answers(predict, clips, split.tests[test], batch=8)
            triples = []
            for clip in clips:
                try:
                    triples += [(clip.id, read_clip(clip), found[clip.id])] if clip.id in found else []
                except Exception as error:
                    missing[clip.id] = f"{type(error).__name__}: {error}"
            names = options.sound.metrics or self.metrics
            scored = score_clips(names, triples, {c.id: c for c in clips}, context, test=test, missing=missing)
            gathered.add(scored, triples)
        return gathered.outcome(fitted)


TTS = SpeechSynthesis()
"""The speech of a text."""
