"""Metrics of many clips: means with the number of clips behind them, failures counted and never averaged in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from codectok.errors import CodectokError
from codectok.metrics import MetricError, MetricUnavailable, get_metric
from codectok.metrics.judged import Judged, Listener, open_judge
from codectok.metrics.registry import as_file
from codectok.metrics.speaker import DEFAULT, open_speaker_encoder, speaker_similarity

from ..contract import RATE, Clip, ItemScore, Score
from .task import TaskContext

Triple = tuple[str, np.ndarray, np.ndarray]
"""Clip id, original and estimate, float [S] each at ``RATE``."""
ClipFunction = Callable[[np.ndarray, np.ndarray, int], float]
CLIP_KINDS = ("pair", "reference-free")
"""Of the metrics that every task that makes sound scores clips by, where it is asked to."""
JUDGED = ("dwer", "dcer")
"""Those that need a judge."""


class Scored(NamedTuple):
    """What some metrics say of some clips.

    Attributes:
        scores: one a metric; value None where none of the clips could be scored.
        items: one a metric and clip.
        failures: {clip id: reasons}.
        notes: {metric: why it is not computed here}, and what names a score, such as the judge.
    """

    scores: tuple[Score, ...]
    items: tuple[ItemScore, ...]
    failures: dict[str, str]
    notes: dict[str, str]


def score_pairs(
    names: Sequence[str],
    triples: Sequence[Triple],
    *,
    test: str = "test",
    missing: Mapping[str, str] | None = None,
    functions: Mapping[str, ClipFunction] | None = None,
) -> Scored:
    """Metrics that are means over clips.

    An error on one clip, whatever it is, leaves n - 1 clips in the mean and 1 in the failures. A metric whose package
    is missing has value None, no failures, and the reason in the notes.

    Args:
        names: of metrics of kind "pair" or "reference-free".
        triples: the clips.
        test: name of the test set.
        missing: {clip id: reason} of further clips that came to nothing: failures of every metric.
        functions: in place of the registry's, by name.
    """
    missing = dict(missing or {})
    out = Scored((), (), dict(missing), {})
    for name in names:
        function = (functions or {}).get(name) or get_metric(name).of_clip
        values: dict[str, float] = {}
        reasons: dict[str, str] = {}
        for clip, reference, estimate in triples:
            try:
                values[clip] = _finite(function(as_file(reference), as_file(estimate), RATE))
            except MetricUnavailable as error:
                out.notes[name] = f"N.C.: {error}"
                break
            except Exception as error:
                reasons[clip] = str(error) if isinstance(error, CodectokError) else f"{type(error).__name__}: {error}"
        if name in out.notes:
            out = out._replace(scores=(*out.scores, Score(name, test, None, 0)))
            continue
        out = _add(out, name, test, {clip: (value, 1.0) for clip, value in values.items()}, 1.0, missing | reasons)
    return out


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise MetricError(f"the value is {value}")
    return float(value)


def _add(
    out: Scored, name: str, test: str, found: Mapping[str, tuple[float, float]], scale: float, failed: Mapping[str, str]
) -> Scored:
    """With one metric more, of {clip: (value, weight)}; the score is ``scale`` times the ratio of their sums."""
    weight = math.fsum(w for _, w in found.values())
    value = scale * math.fsum(v for v, _ in found.values()) / weight if weight else None
    for clip, reason in failed.items():
        if reason not in out.failures.get(clip, ""):
            out.failures[clip] = "; ".join(filter(None, (out.failures.get(clip), f"{name}: {reason}")))
    items = tuple(ItemScore(test, name, clip, v, w) for clip, (v, w) in found.items())
    score = Score(name, test, value, len(found), len(failed))
    return out._replace(scores=(*out.scores, score), items=(*out.items, *items))


def score_heard(
    names: Sequence[str],
    triples: Sequence[Triple],
    listener: Listener,
    languages: Mapping[str, str],
    *,
    test: str = "test",
    missing: Mapping[str, str] | None = None,
) -> Scored:
    """dWER and dCER in %, of the corpus (edits of all clips over the length of all originals), by a named judge."""
    judged: dict[str, Judged] = {}
    failed = dict(missing or {})
    for clip, reference, estimate in triples:
        try:
            judged[clip] = listener.compare(reference, estimate, RATE, languages[clip])
        except Exception as error:
            failed[clip] = str(error) or type(error).__name__
    notes = {"judge": listener.judge.name}
    if loops := sum(j.loop for j in judged.values()):
        notes["judge_loops"] = f"{loops} of {len(judged)} texts repeat themselves"
    out = Scored((), (), dict(missing or {}), notes)
    for name in names:
        edits = {clip: j.words if name == "dwer" else j.characters for clip, j in judged.items()}
        sums = {clip: (float(e.total), float(e.length)) for clip, e in edits.items()}
        out = _add(out, name, test, sums, 100.0, failed)
    return out


def score_clips(
    names: Sequence[str],
    triples: Sequence[Triple],
    clips: Mapping[str, Clip],
    context: TaskContext,
    *,
    test: str = "test",
    missing: Mapping[str, str] | None = None,
) -> Scored:
    """All metrics of a generative task, in the order of ``names``, with the context's judge and speaker encoder."""
    functions: dict[str, ClipFunction] = {}
    notes: dict[str, str] = {}
    if "spk_sim" in names:
        try:
            encoder = open_speaker_encoder(str(context.options.get("speaker_encoder", DEFAULT)), context.device)
            functions["spk_sim"] = partial(speaker_similarity, encoder=encoder)
            notes["speaker_encoder"] = encoder.name
        except MetricUnavailable:
            pass  # score_pairs says why
    plain = [name for name in names if name not in JUDGED]
    parts = [score_pairs(plain, triples, test=test, missing=missing, functions=functions)]
    if heard := [name for name in names if name in JUDGED]:
        parts.append(_heard(heard, triples, clips, context, test, missing))
    scores = {s.metric: s for part in parts for s in part.scores}
    for part in parts:
        notes |= part.notes
    failures: dict[str, str] = {}
    for part in parts:
        for clip, reason in part.failures.items():
            known = failures.get(clip, "")
            failures[clip] = known if reason in known else "; ".join(filter(None, (known, reason)))
    items = tuple(item for part in parts for item in part.items)
    return Scored(tuple(scores[name] for name in names), items, failures, notes)


def _heard(
    names: Sequence[str],
    triples: Sequence[Triple],
    clips: Mapping[str, Clip],
    context: TaskContext,
    test: str,
    missing: Mapping[str, str] | None,
) -> Scored:
    reason = "no judge was named: give a Whisper folder or id"
    if context.judge:
        try:
            listener = open_judge(context.judge, context.device)
        except MetricUnavailable as error:
            reason = str(error)
        else:
            languages = {clip.id: clip.language for clip in clips.values()}
            return score_heard(names, triples, listener, languages, test=test, missing=missing)
    return Scored(tuple(Score(n, test, None, 0) for n in names), (), {}, dict.fromkeys(names, f"N.C.: {reason}"))
