"""Resynthesis: every test clip through the input and back, and what is left of it. Nothing is trained."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codectok.errors import CodectokError
from codectok.metrics import code_usage
from codectok.metrics.level import HEADLINE
from codectok.settings.build import build_from

from ..contract import RATE, Clip, InputInfo, NotComputed, Outcome, Score
from ..datasets import read_clip
from ..inputs import Input
from .scoring import score_clips
from .sound import Gathered, SoundOptions
from .task import Assignment, Task

AT_ONCE = 64
"""Clips that an input is given together: enough to tell a coder's delay by, few enough for memory."""
CLIP_METRICS = (
    "pesq", "stoi", *HEADLINE, "estoi", "si_sdr", "mel", "stft", "f0_corr", "dnsmos", "distillmos", "dcer", "spk_sim",
)  # fmt: skip


@dataclass
class Resynthesized:
    """Clips that came back: originals and reconstructions by id, what the input cost, and why others did not."""

    originals: dict[str, np.ndarray] = field(default_factory=dict)
    decoded: dict[str, np.ndarray] = field(default_factory=dict)
    codes: list[Tensor] = field(default_factory=list)
    kbits: float = 0.0
    seconds: float = 0.0
    failures: dict[str, str] = field(default_factory=dict)
    measured: bool = True

    @property
    def audio_seconds(self) -> float:
        """Of the clips that came back."""
        return sum(map(len, self.decoded.values())) / RATE


def resynthesise(opened: Input, clips: Sequence[Clip]) -> Resynthesized:
    """Pass clips through an input, each as long as before; a group that fails is tried again clip by clip.

    Raises:
        NotComputed: the input has no way back.
    """
    out = Resynthesized()
    for clip in clips:
        try:
            out.originals[clip.id] = read_clip(clip)
        except CodectokError as error:
            out.failures[clip.id] = str(error)
    ids = list(out.originals)
    for start in range(0, len(ids), AT_ONCE):
        group = ids[start : start + AT_ONCE]
        try:
            _pass(opened, group, out)
        except NotComputed:
            raise
        except Exception:
            for one in group:
                try:
                    _pass(opened, [one], out)
                except Exception as error:
                    out.failures[one] = f"{type(error).__name__}: {error}"
    return out


def _pass(opened: Input, ids: Sequence[str], out: Resynthesized) -> None:
    clips = [out.originals[i] for i in ids]
    began = time.perf_counter()
    codes: list[Tensor] = []
    if opened.info.kind == "discrete":
        codes = opened.extract(clips)
        decoded, kbps = opened.to_audio(codes, [len(c) for c in clips]), opened.info.bitrate_kbps
    else:
        decoded, kbps = opened.resynthesise(clips)
    seconds = time.perf_counter() - began
    for before, after in zip(clips, decoded, strict=True):
        if len(before) != len(after):
            raise CodectokError(f"{len(after)} samples came back of {len(before)}")
    out.decoded |= dict(zip(ids, decoded, strict=True))
    out.codes += codes
    out.seconds += seconds
    out.measured &= kbps is not None
    out.kbits += (kbps or 0.0) * sum(map(len, clips)) / RATE


class Resynthesis(Task):
    """See the module; ``options``: :class:`SoundOptions`."""

    name = "resynthesis"
    label = "resynthesis"
    metrics = (*CLIP_METRICS, "bitrate", "entropy_bitrate", "rtf")
    probes = ()
    generative = True
    trained = False

    def check(self, options: Mapping[str, Any]) -> None:
        """See :meth:`Task.check`."""
        build_from(SoundOptions, options, "options")

    def _run(self, given: Assignment) -> Outcome:
        context = given.context
        assert context.input is not None
        options = build_from(SoundOptions, context.options, "options")
        names = options.metrics or CLIP_METRICS
        gathered = Gathered(options.audio_clips)
        for test, clips in given.dataset.tests.items():
            passed = resynthesise(context.input, clips)
            triples = [(i, passed.originals[i], y) for i, y in passed.decoded.items()]
            scored = score_clips(names, triples, {c.id: c for c in clips}, context, test=test, missing=passed.failures)
            gathered.add(scored, triples)
            gathered.scores += _of_input(given.info, passed, test)
            if not passed.codes:
                gathered.notes["entropy_bitrate"] = "N.C.: there are no codes to count"
        return gathered.outcome()


def _of_input(info: InputInfo, passed: Resynthesized, test: str) -> list[Score]:
    """Bitrate as used, bitrate by the entropy of the codes, and computing time, over the clips that came back."""
    n, failed, seconds = len(passed.decoded), len(passed.failures), passed.audio_seconds
    bitrate = passed.kbits / seconds if seconds and passed.measured else None
    entropy = None
    if passed.codes:
        bits = sum(code_usage(torch.cat(passed.codes, 1))[1])
        entropy = float(info.frame_rate) * bits / 1000
    rtf = passed.seconds / seconds if seconds else None
    values = {"bitrate": bitrate, "entropy_bitrate": entropy, "rtf": rtf}
    return [Score(name, test, value, n if value is not None else 0, failed) for name, value in values.items()]


RESYNTHESIS = Resynthesis()
"""What coding and decoding leaves of a clip; nothing is trained."""
