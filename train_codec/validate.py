"""Quality of a codec on whole validation clips, per number of codebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from codectok.codec.model import CodecModel
from codectok.codec.tokenizer import CodecTokenizer
from codectok.errors import CodectokError
from codectok.metrics.level import OCTAVE_METRICS, OCTAVES
from codectok.metrics.reconstruction import QUALITY, Reconstruction, score_reconstruction
from codectok.metrics.registry import get_metric
from codectok.metrics.summary import central
from train_codec.data.clips import ClipArray

METRICS = (*QUALITY, "excess_99", *OCTAVE_METRICS)


def validate(
    model: CodecModel,
    clips: ClipArray,
    count: int,
    codebooks: Sequence[int] | None = None,
    metrics: Sequence[str] = METRICS,
) -> dict[str, float]:
    """Scores over ``count`` clips spread evenly over ``clips``; :func:`format_table` prints them.

    Keys end in the number of codebooks K: ``pesq_K``, ``stoi_K``, ``level_K`` and so on (means over clips, of signed
    metrics medians; absent if the metric failed on every clip), ``failed_pesq_K`` and so on (clips it failed on, absent
    if none), ``kbps_K``, ``n_K`` (clips) and ``used_K`` (distinct codes, mean over the levels). A clip that a metric
    fails on (silence, too short) is never averaged in.

    Args:
        model: any causal codec; its training mode is left as it was.
        clips: at the model's sample rate.
        count: clips to score.
        codebooks: numbers of codebooks; default a quarter, and all.
        metrics: names of registered metrics.

    Raises:
        CodectokError: no clips, or a number of codebooks that the model does not have.
    """
    if not len(clips) or count < 1:
        raise CodectokError("there are no clips to validate on: give a val part, and val_clips of 1 or more")
    top = len(model.codebook_sizes)
    training = model.training
    tokenizer = CodecTokenizer(model, "in training", "", device=str(next(model.parameters()).device))
    count = min(count, len(clips))
    audio = [clips.read(clips.clips[i * len(clips) // count]) for i in range(count)]
    depths = sorted(set(codebooks or (max(1, top // 4), top)))
    out: dict[str, float] = {}
    try:
        for scores in score_reconstruction(tokenizer, audio, model.sample_rate, depths, metrics):
            out |= entries(scores)
            out[f"used_{scores.num_codebooks}"] = round(float(np.mean(scores.used)), 1)
    finally:
        model.train(training)
    return out


def entries(scores: Reconstruction) -> dict[str, float]:
    """Scores by the names of a log, as :func:`validate` has them, ``used_K`` left out."""
    depth = scores.num_codebooks
    out: dict[str, float] = {}
    for metric in scores.values:
        found = scores.summary(metric)
        if found is not None:
            out[f"{metric}_{depth}"] = round(central(found), 4)
        if scores.failed[metric]:
            out[f"failed_{metric}_{depth}"] = scores.failed[metric]
    return out | {f"kbps_{depth}": round(scores.bitrate, 3), f"n_{depth}": scores.num_clips}


def depths_of(scores: Mapping[str, float]) -> list[int]:
    """The numbers of codebooks in what :func:`validate` returned, ascending."""
    return sorted(int(key[2:]) for key in scores if key.startswith("n_") and key[2:].isdigit())


def format_table(scores: Mapping[str, float]) -> str:
    """What :func:`validate` returned as an aligned table, one line a bitrate; the octaves are one column.

    A score's clips are given where it failed on some: ``2.31 (22/24)`` is the mean over 22 of 24 clips.
    """
    names = dict.fromkeys(k.removeprefix("failed_").rpartition("_")[0] for k in scores)
    names = {n: None for n in names if n not in ("", "n", "kbps", "used", *OCTAVE_METRICS)}
    octaves = [n for n in OCTAVE_METRICS if any(f"{n}_{depth}" in scores for depth in depths_of(scores))]
    header = ["codebooks", "kbit/s", *(_heading(n) for n in names)]
    header += [f"octaves {OCTAVES[0][0]}-{OCTAVES[-1][1]} Hz dB"] if octaves else []
    rows = [[*header, "codes used", "n"]]
    for depth in depths_of(scores):
        row = [str(depth), f"{scores.get(f'kbps_{depth}', float('nan')):g}"]
        row += [_score(scores, name, depth) for name in names]
        row += [" ".join(_score(scores, name, depth) for name in octaves)] if octaves else []
        used = scores.get(f"used_{depth}")
        rows.append([*row, "-" if used is None else f"{used:g}", f"{scores[f'n_{depth}']:g}"])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows)


def _heading(name: str) -> str:
    metric = get_metric(name)
    return f"{metric.label} {metric.unit}".strip()


def _score(scores: Mapping[str, float], name: str, depth: int) -> str:
    total, failed = int(scores[f"n_{depth}"]), int(scores.get(f"failed_{name}_{depth}", 0))
    value, metric = scores.get(f"{name}_{depth}"), get_metric(name)
    sign = "+" if metric.signed else ""
    text = "-" if value is None else f"{value:{sign}.{metric.decimals}f}"
    return f"{text} ({total - failed}/{total})" if failed else text
