"""Speed of units from a HuBERT-base-sized model, layer 9, against the naive way, in the same run.

``python -m benchmarks.speed units`` (``--quick`` for a minute's look, ``--seams AUDIO...`` for windows instead)

The naive way is what scripts do: transformers, batches of 8 clips in random order padded to the longest, all layers
with ``output_hidden_states``, scikit-learn's ``KMeans.predict`` on one layer's. Both get random weights, the same
centroids and clips of 2 to 16 s, and take turns. x is seconds of audio a second: the median over the repeats and, in
brackets, the slowest and the fastest; ratio is the median of the repeats' own ratios, by the clock and by CPU time
(which other programs on the machine disturb less). "changed" is the share of units that differ from those of each clip
on its own, by transformers and scikit-learn.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from codectok.cli.console import print_table

from .turns import json_option, keep, spread, timed

Units = list[np.ndarray]
RATE, LAYER, CODES, BATCH = 16000, 9, 500, 8


def make_clips(count: int, seed: int = 0) -> list[np.ndarray]:
    """Noise of 2 to 16 s, in random order; what it holds does not change the speed."""
    rng = np.random.default_rng(seed)
    return [(0.1 * rng.standard_normal(int(RATE * s))).astype(np.float32) for s in rng.uniform(2, 16, count)]


def write_model(folder: Path, config: dict[str, Any]) -> None:
    """HuBERT with random weights: the base size, unless ``config`` says otherwise."""
    from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

    torch.manual_seed(0)
    HubertModel(HubertConfig(**config)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False).save_pretrained(folder)


class Naive:
    """transformers and scikit-learn, as most scripts use them."""

    def __init__(self, folder: Path, layer: int, centroids: np.ndarray, batch: int = BATCH) -> None:
        from sklearn.cluster import KMeans
        from transformers import AutoFeatureExtractor, AutoModel

        self.extractor: Any = AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=False)
        self.model: Any = AutoModel.from_pretrained(folder, trust_remote_code=False).eval()
        self.layer, self.batch = layer, batch
        # Fitted to its own centroids, which are then what it predicts with.
        self.kmeans = KMeans(len(centroids), init=centroids, n_init=1, max_iter=1).fit(centroids)
        self.kmeans.cluster_centers_ = centroids

    @torch.no_grad()
    def __call__(self, clips: list[np.ndarray]) -> Units:
        """Units of each clip."""
        found: Units = []
        for start in range(0, len(clips), self.batch):
            some = clips[start : start + self.batch]
            inputs = self.extractor(some, sampling_rate=RATE, padding=True, return_tensors="pt")
            hidden = self.model(inputs.input_values, output_hidden_states=True).hidden_states[self.layer]
            for clip, states in zip(some, hidden, strict=True):
                frames = (len(clip) - 400) // 320 + 1
                found.append(self.kmeans.predict(states[:frames].numpy()))
        return found


class Ours:
    """The encoder and the assignment of this project, with the same frames."""

    def __init__(self, folder: Path, layer: int, centroids: np.ndarray, **options: Any) -> None:
        from codectok.units import load_encoder
        from codectok.units.kmeans.unit_stream import UnitStream

        self.encoder = load_encoder(folder, layer, padding="none", **options)
        self.stream = UnitStream(0, [torch.from_numpy(centroids)], None, None)

    def __call__(self, clips: list[np.ndarray]) -> Units:
        """Units of each clip."""
        return [self.stream.encode(x)[0].numpy() for x in self.encoder.features_batch(clips)]


def pick_centroids(folder: Path, layer: int, codes: int, clips: list[np.ndarray]) -> np.ndarray:
    """Frames of the clips, drawn at random."""
    from codectok.units import load_encoder

    frames = torch.cat(load_encoder(folder, layer, padding="none").features_batch(clips))
    order = torch.randperm(len(frames), generator=torch.Generator().manual_seed(0))
    return frames[order[:codes]].numpy()


def compare(sides: dict[str, Callable[[list[np.ndarray]], Units]], clips: list[np.ndarray], repeats: int) -> Any:
    """Seconds of each repeat, [side][repeat][clock, CPU]; the sides take turns at being first."""
    times: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for side in sides.values():
        side(clips[:2])
    for repeat in range(repeats):
        for name in sorted(sides, reverse=repeat % 2 == 1):
            times[name].append(timed(lambda side=sides[name]: side(clips)))  # type: ignore[misc]
    return times


def changed(found: Units, reference: Units) -> float:
    """Share of units that differ."""
    return float(np.concatenate([a != b for a, b in zip(found, reference, strict=True)]).mean())


def table(ours: Ours, naive: Naive, clips: list[np.ndarray], repeats: int) -> list[dict[str, Any]]:
    """One row a side."""
    times = compare({"ours": ours, "naive": naive}, clips, repeats)
    alone = [unit for clip in clips[:BATCH] for unit in naive([clip])]
    audio = sum(map(len, clips)) / RATE
    rows: list[dict[str, Any]] = []
    for name, side in (("naive", naive), ("ours", ours)):
        row: dict[str, Any] = {"way": name, "x": spread([audio / t for t, _ in times[name]])}
        row["x by CPU time"] = spread([audio / t for _, t in times[name]])
        row["changed"] = f"{100 * changed(side(clips[:BATCH]), alone):.2f} %"
        for i, title in enumerate(("ratio", "ratio by CPU time")):
            ratios = [b[i] / a[i] for a, b in zip(times["ours"], times["naive"], strict=True)]
            row[title] = spread(ratios) if name == "ours" else ""
        rows.append(row)
    return rows


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="8 clips, 1 repeat.")
@click.option("--clips", "count", type=click.IntRange(min=8), default=24, show_default=True)
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "int8"]), default="float32", show_default=True)
@click.option("--batch-seconds", type=float, default=0.0, show_default=True, help="Of ours; 0: a clip at a time.")
@click.option("--seams", multiple=True, type=click.Path(exists=True), help="Long audio: the share of units changed.")
@click.option("--encoder", type=click.Path(exists=True), envvar="CODECTOK_WHISPER", help="Of --seams: a Whisper.")
@json_option
def main(
    quick: bool,
    count: int,
    repeats: int,
    threads: int,
    dtype: str,
    batch_seconds: float,
    seams: tuple[str, ...],
    encoder: str | None,
    json_file: Path | None,
) -> None:
    """See the module."""
    torch.set_num_threads(threads)
    if seams:
        from .units_seams import seam_rows

        if encoder is None:
            raise click.UsageError("--seams needs --encoder FOLDER of a Whisper, or CODECTOK_WHISPER")
        rows = seam_rows(encoder, seams)
    else:
        clips = make_clips(8 if quick else count)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write_model(folder, {})
            centroids = pick_centroids(folder, LAYER, CODES, clips[:BATCH])
            ours = Ours(folder, LAYER, centroids, dtype=dtype, batch_seconds=batch_seconds)
            rows = table(ours, Naive(folder, LAYER, centroids), clips, 1 if quick else repeats)
    print_table(f"{threads} threads of {os.cpu_count()} CPUs, torch {torch.__version__}", rows)
    keep({"rows": rows}, json_file)
