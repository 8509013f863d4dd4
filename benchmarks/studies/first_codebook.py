"""What the first codebook knows of speech sounds: two models on the same frames, paired.

``python -m benchmarks.studies.first_codebook A B --data SPEECH --splits splits.tsv --teacher FOLDER --layer 5``

Against two kinds of labels: k-means units of a teacher (fitted on clips marked ``fit``), and, with ``--manifest``, the
letters of transcripts aligned by :mod:`.letters`, which stand for phones only roughly. Scores are PNMI and
purities (:mod:`codectok.metrics.units`) and a linear probe of the codes (:mod:`.code_probe`); differences
are A - B with 95 % bootstrap intervals over clips. To show what distillation does, A and B are the same recipe with and
without it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from codectok.cli.console import handle_errors, print_table
from codectok.errors import AudioError, FormatError

from ..split_tables import read_splits

COMPONENTS = 128
"""Principal components of the teacher that its units are fitted on, where it is wider."""


def table_of(splits: Path, use: str) -> list[tuple[str, str]]:
    """Path and speaker of the clips marked ``use``; without a column of speakers, each clip is its own."""
    rows = [r for r in read_splits(splits) if r["use"] == use]
    if not rows:
        raise AudioError(f"no clip of {splits} is marked {use!r}: see --use", path=splits)
    return [(r["path"], r.get("speaker") or r["path"]) for r in rows]


def read_16k(path: Path) -> np.ndarray:
    """Audio of a file, float32 [S] at 16 kHz."""
    from codectok import read_audio
    from codectok.audio.samples import resample

    audio, rate = read_audio(path)
    return audio if rate == 16000 else resample(audio, rate, 16000)


def evaluate(
    models: tuple[str, str],
    data: Path,
    splits: Path,
    use: str,
    spec: Any,
    layer: int,
    cache: Path,
    *,
    units: int = 100,
    fit_clips: int = 400,
    every: int = 1,
    manifest: Path | None = None,
    language: str | None = None,
    letter_clips: int = 400,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Score both models; see the options of the command.

    Args:
        spec: :class:`train_codec.distill.TeacherSpec`.

    Raises:
        FormatError: models of different frames, or too little data.
        AudioError: no clips.
    """
    from codectok import load
    from train_codec.distill import TeacherCache

    from .code_labels import FrameGrid, as_clips, letter_labels, on_frames, teacher_units, transcripts
    from .code_probe import Frames, compare

    tokenizers = {"A": load(models[0]), "B": load(models[1])}
    grids = {FrameGrid.of(t.sample_rate, t.frame_rate) for t in tokenizers.values()}
    if len(grids) > 1:
        raise FormatError(f"{models[0]} and {models[1]} have different frames: only models with the same are compared")
    (grid,) = grids
    listed = table_of(splits, use)[::every]
    audio = {path: read_16k(data / path) for path, _ in listed}
    codes = {
        path: {n: t.encode(x, 16000, num_codebooks=1).codes[0].numpy() for n, t in tokenizers.items()}
        for path, x in audio.items()
    }

    def frames_of(labels: dict[str, np.ndarray]) -> Frames:
        kept = [(path, speaker) for path, speaker in listed if len(labels.get(path, ()))]
        if not kept:
            raise AudioError(f"no clip marked {use} could be labelled: see --language and --every")
        sizes = [len(labels[path]) for path, _ in kept]
        return Frames(
            {n: np.concatenate([codes[path][n][: len(labels[path])] for path, _ in kept]) for n in tokenizers},
            np.concatenate([labels[path] for path, _ in kept]).astype(np.int64),
            np.repeat(np.arange(len(kept)), sizes),
            np.repeat([speaker for _, speaker in kept], sizes),
        )

    fit = table_of(splits, "fit")
    drawn = [fit[i][0] for i in sorted(np.random.default_rng(0).permutation(len(fit))[:fit_clips])]
    dim = min(COMPONENTS, spec.load(layer).dim)
    fitted = TeacherCache.open_or_make(as_clips([read_16k(data / p) for p in drawn]), spec, cache, layer, dim)
    scored = TeacherCache.open_or_make(as_clips(list(audio.values())), spec, cache, layer, dim, basis_of=fitted)
    found = teacher_units(on_frames(fitted, grid), on_frames(scored, grid), units)
    targets = {"teacher units": compare(frames_of(dict(zip(audio, found, strict=True))), resamples)}
    targets["teacher units"]["note"] = (
        f"{units} k-means units of {Path(spec.encoder).name}, layer {layer}, fitted on {len(drawn)} clips marked fit"
    )
    if manifest is not None:
        chosen, words = transcripts(manifest, splits, language, use)
        others = [p for p in words if p not in audio]
        keep = [p for p in words if p in audio]
        more = np.random.default_rng(0).permutation(len(others))[: max(0, letter_clips - len(keep))]
        to_align = {p: audio[p] if p in audio else read_16k(data / p) for p in [*keep, *(others[i] for i in more)]}
        labels, names = letter_labels(to_align, words, grid)
        targets["letters"] = compare(frames_of({p: x for p, x in labels.items() if p in audio}), resamples)
        targets["letters"]["note"] = (
            f"approximate: letters of {chosen} transcripts aligned by hidden Markov models trained on {len(to_align)} "
            f"clips, {len(to_align) - len(labels)} of which did not fit; letters stand for phones only roughly"
        )
        targets["letters"]["names"] = names
    return {
        "A": {"model": models[0], "fingerprint": tokenizers["A"].fingerprint},
        "B": {"model": models[1], "fingerprint": tokenizers["B"].fingerprint},
        "use": use,
        "frame_rate": str(tokenizers["A"].frame_rate),
        "targets": targets,
    }


@click.command(help=__doc__)
@click.argument("model_a")
@click.argument("model_b")
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path), help="Folder of the audio.")
@click.option(
    "--splits", required=True, type=click.Path(exists=True, path_type=Path), help="Table: path, use, speaker."
)
@click.option("--use", default="val", help="Which clips of the table are scored.")
@click.option("--every", type=click.IntRange(min=1), default=1, help="Take every Nth of them.")
@click.option("--teacher", required=True, help="Encoder: model folder or hub id.")
@click.option("--layer", type=int, required=True, help="Of the teacher.")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), default="float32", help="To run the teacher in.")
@click.option("--tail-seconds", type=float, help="Silence after each clip, for Whisper; default up to 30 s.")
@click.option("--cache", type=click.Path(path_type=Path), default=Path(".cache/teacher"), help="For its features.")
@click.option("--units", type=click.IntRange(min=2), default=100, help="k of the teacher's k-means.")
@click.option("--fit-clips", type=click.IntRange(min=1), default=400, help="Clips marked fit to fit it on.")
@click.option("--manifest", type=click.Path(exists=True, path_type=Path), help="Table: path, language, transcript.")
@click.option("--language", help="Of the letters; default that of most transcripts.")
@click.option("--resamples", type=click.IntRange(min=100), default=1000, help="Of the bootstrap.")
@click.option("-o", "--output", "out", type=click.Path(path_type=Path), help="Write the result as JSON.")
@handle_errors
def main(
    model_a: str,
    model_b: str,
    data: Path,
    splits: Path,
    use: str,
    every: int,
    teacher: str,
    layer: int,
    dtype: str,
    tail_seconds: float | None,
    cache: Path,
    units: int,
    fit_clips: int,
    manifest: Path | None,
    language: str | None,
    resamples: int,
    out: Path | None,
) -> None:
    """Score and print; see the module."""
    from codectok.files.atomic import atomic_path
    from train_codec.distill import TeacherSpec

    result = evaluate(
        (model_a, model_b),
        data,
        splits,
        use,
        TeacherSpec(teacher, dtype, tail_seconds),
        layer,
        cache,
        units=units,
        fit_clips=fit_clips,
        every=every,
        manifest=manifest,
        language=language,
        resamples=resamples,
    )
    for target, scores in result["targets"].items():
        rows: list[dict[str, Any]] = [{"model": n, **_short(row)} for n, row in scores["models"].items()]
        rows.append({"model": "A - B", **{k: _interval(v) for k, v in scores["difference"].items()}})
        columns = ["model", "held_out_pnmi", "probe_accuracy", "pnmi", "chance_pnmi", "phone_purity", "codes_used"]
        shown = [{c: row.get(c, "") for c in columns} for row in rows]
        print_table(f"{target}: {scores['clips']} clips, {scores['frames']} frames marked {use}", shown)
        baseline = f"{scores['commonest_label']:.3f} by the commonest label alone"
        click.echo(f"{scores['note']}\nprobe: {scores['probe']}, {baseline}")
    if out is not None:
        with atomic_path(out) as temporary:
            temporary.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def _short(row: dict[str, Any]) -> dict[str, str]:
    return {k: f"{v:.3f}" if isinstance(v, float) else str(v) for k, v in row.items()}


def _interval(row: dict[str, Any]) -> str:
    bounds = "" if row["low"] is None else f" [{row['low']:+.3f}, {row['high']:+.3f}]"
    return f"{row['mean']:+.3f}{bounds}"


if __name__ == "__main__":
    main()
