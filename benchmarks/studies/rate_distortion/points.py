"""From clips to the points of a plot: one row a tokenizer and number of codebooks, or a coder and setting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codectok.errors import AudioError
from codectok.metrics import compute, summarize
from codectok.metrics.level import HEADLINE, OCTAVE_METRICS
from codectok.metrics.registry import as_file
from codectok.metrics.summary import central
from codectok.tokenizer import Tokenizer

from .align import find_delays, remove_delay
from .coders import RATE, Coder, CoderError

METRICS = ("pesq", "stoi", *HEADLINE, *OCTAVE_METRICS)
CODEBOOKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Numbers of codebooks that are scored where a tokenizer has as many, beside all that it has."""
Pair = tuple[np.ndarray, np.ndarray]
Scores = tuple[dict[str, float], dict[str, str]]
Row = dict[str, Any]
Map = Callable[[Callable[[Pair], Scores], Sequence[Pair]], Iterator[Scores]]
"""``map``, or that of a pool of processes."""


def read_clips(data: Path, paths: Sequence[str]) -> list[np.ndarray]:
    """The clips, float32 [S] each at 16 kHz.

    Raises:
        AudioError: no clips, or one that cannot be read.
    """
    from codectok.audio import read_audio, resample

    if not paths:
        raise AudioError("no clips: see --use and --splits")
    return [resample(*read_audio(data / path), RATE) for path in paths]


def measure(pair: Pair) -> Scores:
    """Scores of one clip (original and reconstruction, both float [S] at 16 kHz), and why some could not be had."""
    return compute(METRICS, *pair, RATE)


def row(
    name: str,
    setting: str,
    bitrate: float,
    measured: float,
    scores: Sequence[Scores],
    broken: int = 0,
    speakers: Sequence[str] | None = None,
) -> Row:
    """One point.

    Args:
        name: of the tokenizer or coder.
        setting: as its command line has it, or the number of codebooks.
        bitrate: kbit/s of the coded frames, for the plot.
        measured: kbit/s of the frames as they lie in the file.
        scores: of each clip that came back.
        broken: number of clips that did not.
        speakers: one a clip that came back; intervals are then over speakers.

    Returns:
        A row with, for each metric, its mean, the low and high end of the interval (None for one clip) and its n, or
        None where it failed on all clips; of signed metrics the median and the 10 and 90 % quantiles over clips; and
        the number of failures by reason.
    """
    out: Row = {"name": name, "setting": setting, "kbit/s": round(bitrate, 3), "measured": round(measured, 3)}
    for metric in METRICS:
        values = {i: found[metric] for i, (found, _) in enumerate(scores) if metric in found}
        out[metric] = None
        if values:
            who = None if speakers is None else [speakers[i] for i in values]
            all_of = summarize(metric, list(values.values()), who)
            ends = [None if v is None else round(v, 4) for v in (central(all_of), all_of.low, all_of.high)]
            out[metric] = [*ends, all_of.n]
    failed = {m: sum(m in reasons for _, reasons in scores) for m in METRICS} | {"coder": broken}
    out["failed"] = {reason: count for reason, count in failed.items() if count}
    return out


def tokenizer_rows(
    name: str,
    tokenizer: Tokenizer,
    clips: Sequence[np.ndarray],
    codebooks: Sequence[int],
    each: Map,
    speakers: Sequence[str] | None = None,
) -> Iterator[Row]:
    """Rows of a tokenizer, by number of codebooks; ``speakers``: one a clip.

    Raises:
        CodeRangeError: it has not so many codebooks.
    """
    from codectok.audio import resample

    most = len(tokenizer.codebook_sizes)
    counts = [tokenizer.choose_codebooks(k, None) for k in codebooks]
    counts = counts or sorted({k for k in CODEBOOKS if k <= most} | {most})
    coded = [tokenizer.encode(clip, RATE) for clip in clips]
    for count in counts:
        decoded = [tokenizer.decode(tokens.first(count)) for tokens in coded]
        back = [resample(as_file(samples), tokenizer.sample_rate, RATE) for samples in decoded]
        # A tokenizer has no delay by contract; resampling may add a sample at the end.
        pairs = [(clip, remove_delay(samples, 0, len(clip))) for clip, samples in zip(clips, back, strict=True)]
        bitrate = tokenizer.bitrate(count)
        yield row(name, f"{count} codebooks", bitrate, bitrate, list(each(measure, pairs)), speakers=speakers)


def coder_rows(
    coder: Coder, clips: Sequence[np.ndarray], each: Map, speakers: Sequence[str] | None = None
) -> Iterator[Row]:
    """Rows of a classical coder, by setting; ``delay ms`` has the least and the most of its delays.

    Raises:
        CoderError: it failed on every clip, with the reason of the last.
    """
    for setting in coder.settings:
        which, originals, decoded, bitrates = [], [], [], []
        last: CoderError | None = None
        for index, clip in enumerate(clips):
            try:
                samples, bitrate = coder.run(clip, setting)
            except CoderError as error:
                last = error
                continue
            which.append(index)
            originals.append(clip)
            decoded.append(samples)
            bitrates.append(bitrate)
        if not decoded:
            raise last or CoderError("no clips")
        delays = find_delays(originals, decoded, RATE)
        aligned = [remove_delay(y, d, len(x)) for x, y, d in zip(originals, decoded, delays, strict=True)]
        scores = list(each(measure, list(zip(originals, aligned, strict=True))))
        # Of all the audio: longer clips have more bits.
        measured = float(np.average(bitrates, weights=[len(clip) for clip in originals]))
        bitrate = setting.nominal if coder.fixed_rate else measured
        who = None if speakers is None else [speakers[i] for i in which]
        point = row(coder.name, setting.argument, bitrate, measured, scores, len(clips) - len(decoded), who)
        delay = [round(1000 * d / RATE, 2) for d in (min(delays), max(delays))]
        yield point | {"nominal": setting.nominal, "delay ms": delay}
