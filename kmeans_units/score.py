"""The quality of a tokenizer's units on a corpus: usage, phones, ABX and robustness, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from codectok.abilities import ReadsEncoder, UnitsOfFeatures
from codectok.errors import CodectokError
from codectok.items.clips import read_clip
from codectok.metrics.abx import abx
from codectok.metrics.items import AbxItem
from codectok.metrics.registry import MetricError
from codectok.metrics.robustness import DISTURBANCES, robustness
from codectok.metrics.segments import ClipNames, Segment, frame_labels
from codectok.metrics.unit_report import phone_scores, usage
from codectok.tokenizer import Tokenizer
from codectok.transforms.unit_bpe import bpe_of
from kmeans_units.columns import ClipRow
from kmeans_units.names import by_clip, clip_name

_BATCH_SECONDS = 60.0
Progress = Callable[[], None]


@dataclass
class Encoded:
    """A corpus as units.

    Attributes:
        names: of each clip: path as the manifest writes it, or id of a segment.
        ids: of each clip.
        units: int [K, T] of each clip.
        features: float32 [T, D] of each clip where they are wanted.
        seconds: of audio in all.
        failed: clips that could not be encoded, with the reason.
        bpe_tokens: of all clips after BPE; None without one.
    """

    names: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    units: list[np.ndarray] = field(default_factory=list)
    features: list[np.ndarray] = field(default_factory=list)
    seconds: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)
    bpe_tokens: int | None = None

    @property
    def names_of(self) -> dict[str, str]:
        """Names by id."""
        return dict(zip(self.ids, self.names, strict=True))


def encode(
    tokenizer: Tokenizer,
    rows: Sequence[ClipRow],
    root: str,
    *,
    num_codebooks: int,
    features: bool = False,
    progress: Progress = lambda: None,
) -> Encoded:
    """Units (and features) of all clips; a clip that cannot be read is left out, with its reason."""
    found = Encoded()
    bpe = bpe_of(tokenizer)
    most = max(num_codebooks, len(bpe.codebook_sizes) if bpe else 0)
    for done, clips in _batches(tokenizer, rows, root, found.failed, progress):
        seen: list[Any] = tokenizer.features_batch(clips, tokenizer.sample_rate) if features else []
        if seen and isinstance(tokenizer, UnitsOfFeatures):  # the encoder, which is most of the work, runs once
            codes = [tokenizer.units(f, most) for f in seen]
            many = [tokenizer.tokens(c, len(x)) for c, x in zip(codes, clips, strict=True)]
        else:
            many = tokenizer.encode_batch(clips, tokenizer.sample_rate, num_codebooks=most)
        found.names += [clip_name(r.item, root) for r in done]
        found.ids += [r.item.id for r in done]
        found.units += [t.codes[:num_codebooks].numpy() for t in many]
        found.features += [f.numpy() for f in seen]
        found.seconds += sum(t.duration for t in many)
        if bpe is not None:
            merged = bpe.encode_batch([t.first(len(bpe.codebook_sizes)) for t in many])
            found.bpe_tokens = (found.bpe_tokens or 0) + sum(len(m.ids) for m in merged)
    if not found.names:
        reason = next(iter(found.failed.values()), "there are none")
        raise CodectokError(f"no clip could be encoded: {reason}")
    return found


def _batches(
    tokenizer: Tokenizer, rows: Sequence[ClipRow], root: str, failed: dict[str, str], progress: Progress
) -> Iterator[tuple[list[ClipRow], list[np.ndarray]]]:
    done: list[ClipRow] = []
    clips: list[np.ndarray] = []
    for row in rows:
        try:
            clips.append(read_clip(row.item, tokenizer.sample_rate))
            done.append(row)
        except (CodectokError, OSError) as error:
            failed[clip_name(row.item, root)] = str(error)
        if sum(map(len, clips)) >= _BATCH_SECONDS * tokenizer.sample_rate:
            yield done, clips
            done, clips = [], []
        progress()
    if clips:
        yield done, clips


def codebook_scores(
    tokenizer: Tokenizer, encoded: Encoded, phones: Mapping[str, Sequence[Segment]] | None, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Usage of each codebook, and its phone scores where there are labels."""
    found: list[dict[str, Any]] = []
    labels = labels_of(encoded, phones, tokenizer) if phones is not None else None
    names = codebook_names(tokenizer)
    for k in range(len(encoded.units[0])):
        units = [u[k] for u in encoded.units]
        counted = usage(units, tokenizer.codebook_sizes[k], tokenizer.frame_rate, encoded.seconds)
        row: dict[str, Any] = {"codebook": names[k], **asdict(counted), "used_share": counted.used_share}
        if labels is not None:
            try:
                row["phones"] = phone_scores(units, labels, resamples=resamples, seed=seed).to_json()
            except MetricError as error:
                row["phones"] = {"pnmi": None, "reason": str(error)}
        found.append(row)
    return found


def codebook_names(tokenizer: Tokenizer) -> list[str]:
    """What each codebook is called: its number, or of units of several layers, layer and residual level."""
    if not isinstance(tokenizer, ReadsEncoder) or len(tokenizer.encoder.layers) < 2:
        return [f"codebook {k}" for k in range(len(tokenizer.codebook_sizes))]
    levels = [(s, level) for s in tokenizer.streams for level in range(len(s.sizes))]
    return [
        f"layer {tokenizer.encoder.layers[s.layer_index]}" + (f", level {level}" if len(s.sizes) > 1 else "")
        for s, level in levels
    ]


def first_frame(tokenizer: Tokenizer) -> Fraction:
    """Where the span begins that frame 0 stands for, in seconds: the encoder's ``offset``, which may be negative."""
    return (
        Fraction(tokenizer.encoder.offset, tokenizer.sample_rate) if isinstance(tokenizer, ReadsEncoder) else Fraction()
    )


def _layers(tokenizer: Tokenizer, features: list[np.ndarray]) -> dict[str, list[np.ndarray]]:
    """The features of each layer, of an encoder with several; else the features."""
    if not isinstance(tokenizer, ReadsEncoder):
        return {"features": features}
    layers, width = tokenizer.encoder.layers, tokenizer.encoder.layer_dim
    if len(layers) < 2 or features[0].shape[1] != len(layers) * width:
        return {"features": features}
    return {
        f"features, layer {layer}": [f[:, i * width : (i + 1) * width] for f in features]
        for i, layer in enumerate(layers)
    }


def labels_of(encoded: Encoded, phones: Mapping[str, Sequence[Segment]], tokenizer: Tokenizer) -> list[np.ndarray]:
    """The phone of each frame of each clip as a number, -1 where there is none."""
    index = {p: i for i, p in enumerate(sorted({s.label for segments in phones.values() for s in segments}))}
    mine = by_clip(phones, encoded.names_of)
    found = [
        frame_labels(mine.get(name, []), units.shape[1], tokenizer.frame_rate, index, first_frame(tokenizer))
        for name, units in zip(encoded.names, encoded.units, strict=True)
    ]
    if all((x < 0).all() for x in found):
        raise CodectokError("no clip of the corpus has labels: their paths must be those of the corpus, or its ids")
    return found


def abx_scores(
    tokenizer: Tokenizer, encoded: Encoded, items: Sequence[AbxItem], *, in_context: bool = True, seed: int = 0
) -> dict[str, Any]:
    """ABX errors within and across speakers of every codebook's units, and of the features where there are any.

    Items whose frames are not all in the clip, or that have none, are left out and counted.
    """
    names = ClipNames(encoded.names, encoded.names_of)
    position = {name: i for i, name in enumerate(encoded.names)}
    kept: list[AbxItem] = []
    spans: list[tuple[int, int, int]] = []
    for item in items:
        name = names.find(item.file)
        start, stop = item.frames(tokenizer.frame_rate, first_frame(tokenizer))
        if name is not None and 0 <= start < stop <= encoded.units[position[name]].shape[1]:
            kept.append(item)
            spans.append((position[name], start, stop))
    if not kept:
        raise CodectokError("no item lies in a clip of the corpus: #file must be a path of the corpus, or an id")
    names_of = codebook_names(tokenizer)
    what = {f"units, {names_of[k]}": [u[k] for u in encoded.units] for k in range(len(encoded.units[0]))}
    if encoded.features:
        what |= _layers(tokenizer, encoded.features)
    scores: dict[str, dict[str, Any]] = {}
    for label, clips in what.items():
        frames = [clips[i][start:stop] for i, start, stop in spans]
        scores[label] = {}
        for way in ("within", "across"):
            try:
                found = abx(kept, frames, across=way == "across", in_context=in_context, seed=seed)
                scores[label][way] = asdict(found)
            except MetricError as error:
                scores[label][way] = {"error": None, "reason": str(error)}
    return {"items": len(items), "outside": len(items) - len(kept), "in_context": in_context, "scores": scores}


def robustness_scores(
    tokenizer: Tokenizer,
    rows: Sequence[ClipRow],
    num_codebooks: int,
    most: int,
    seed: int,
    progress: Progress = lambda: None,
) -> dict[str, Any]:
    """Changed units of at most so many clips, drawn by the seed; clips that cannot be read are left out."""
    drawn = sorted(np.random.default_rng(seed).permutation(len(rows))[:most])
    clips = []
    for i in drawn:
        try:
            clips.append((read_clip(rows[i].item, tokenizer.sample_rate), tokenizer.sample_rate))
        except (CodectokError, OSError):
            continue  # named among the failed clips already: every row was read before
    found = robustness(tokenizer, clips, DISTURBANCES, num_codebooks=num_codebooks, seed=seed, progress=progress)
    names = codebook_names(tokenizer)[:num_codebooks]
    return {
        "clips": len(clips),
        "codebooks": names,
        "changes": {name: [asdict(c) for c in rows_] for name, rows_ in found.items()},
    }


def bpe_rates(tokenizer: Tokenizer, encoded: Encoded) -> dict[str, Any] | None:
    """Tokens and nominal bits per second after the tokenizer's BPE; None without one."""
    if encoded.bpe_tokens is None:
        return None
    bpe = bpe_of(tokenizer)
    assert bpe is not None, "its tokens were counted"
    size = bpe.vocab_size
    rate = encoded.bpe_tokens / encoded.seconds
    return {"vocab_size": size, "token_rate": rate, "bitrate": rate * float(np.log2(size))}
