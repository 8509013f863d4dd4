"""What a recogniser still understands after a tokenizer: character and word error rates on listed clips.

``python -m benchmarks.studies.word_errors speech --data SPEECH --splits splits.tsv --use val --judge FOLDER``

The judge is a Whisper, told each clip's language; it hears decoded clips as the 16-bit files that they are written to.
Its reference is its own transcript of the original (so its own errors are left out), and beside that, for clips that
have one, the transcript of the manifest: DATA/manifest.tsv with columns path, language and, if known, transcript. Rates
are of the corpus (edits of all clips over the length of all references), with the 95 % bootstrap interval over speakers
(over clips where the table of splits names none); insertions can take a rate above 100 %. A judge that falls into
repeating itself writes many: such texts are counted as ``loops``, and stay in the rates. Only where the original itself
made the judge loop is there no reference, and the clip is left out of dCER and dWER.
"""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codectok.cli.console import describe, handle_errors, print_table
from codectok.cli.progress import progress
from codectok.errors import CodectokError
from codectok.files.atomic import atomic_path
from codectok.items.columns import labels_of
from codectok.items.labels import find_text
from codectok.items.tables import table_rows
from codectok.metrics.intelligibility import character_edits, error_rate, word_edits
from codectok.metrics.judge import WhisperJudge, repeats_itself
from codectok.metrics.registry import MetricError, as_file

from ..split_tables import choose, speakers

if TYPE_CHECKING:
    from codectok.tokenizer import Tokenizer

KINDS = {"CER": character_edits, "WER": word_edits}
RateAndBounds = list[float | None]
"""Error rate, and the low and high end of its interval (None for one clip)."""


@dataclass
class Heard:
    """What the judge wrote of one clip.

    Attributes:
        path, language, transcript: of the manifest; transcript "" where it has none.
        original: of the recording.
        decoded: by the number of codebooks.
        speaker: who speaks it, or its path where that is not known.
    """

    path: str
    language: str
    transcript: str
    original: str = ""
    decoded: dict[int, str] = field(default_factory=dict)
    speaker: str = ""


def manifest_rows(manifest: Path, paths: Sequence[str]) -> list[Heard]:
    """The clips at ``paths``, in that order.

    Raises:
        CodectokError: a clip that the manifest does not list, or lists without its language.
    """
    labels = {row["path"]: labels_of(row, ("path",)) for _, row in table_rows(manifest, ("path",))}
    for path in paths:
        if not labels.get(path, {}).get("language"):
            raise CodectokError(f"{manifest} has no language for {path}: the judge must be told it, not guess")
    return [Heard(path, find_text(labels[path], "language"), find_text(labels[path], "text")) for path in paths]


def listen(
    judge: WhisperJudge, tokenizer: Tokenizer, data: Path, clips: Sequence[Heard], codebooks: Sequence[int]
) -> tuple[list[Heard], dict[str, str]]:
    """Let the judge hear each clip as it is and decoded; returns those that it heard, and why not the others."""
    from codectok import read_audio

    heard, failed = [], {}
    with progress(len(clips), "listening") as bar:
        for clip in clips:
            try:
                samples, rate = read_audio(data / clip.path)
                clip.original = judge.transcribe([samples], rate, [clip.language])[0]
                for count in codebooks:
                    decoded = tokenizer.decode(tokenizer.encode(samples, rate, num_codebooks=count))
                    text = judge.transcribe([as_file(decoded)], tokenizer.sample_rate, [clip.language])[0]
                    clip.decoded[count] = text
                heard.append(clip)
            except CodectokError as error:
                failed[clip.path] = describe(error)
            bar.advance()
    return heard, failed


def rates(clips: Sequence[Heard], texts: Sequence[tuple[str, str]]) -> dict[str, RateAndBounds | None]:
    """CER and WER of texts (reference, hypothesis), one pair a clip; None where there is no reference to count in."""
    out: dict[str, RateAndBounds | None] = {}
    for name, edits in KINDS.items():
        found = [edits(reference, hypothesis) for reference, hypothesis in texts]
        try:
            interval = error_rate(found, clusters=[clip.speaker or clip.path for clip in clips])
        except MetricError:
            if any(reference for reference, _ in texts):
                raise
            out[name] = None
        else:
            out[name] = [None if v is None else round(v, 5) for v in (interval.mean, interval.low, interval.high)]
    return out


def score(heard: Sequence[Heard], codebooks: Sequence[int], tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """One row a number of codebooks; codebooks None is the original, which only transcripts can judge."""
    judged = [clip for clip in heard if not repeats_itself(clip.original)]
    written = [clip for clip in heard if clip.transcript]
    rows: list[dict[str, Any]] = []
    for count in [None, *codebooks]:
        row: dict[str, Any] = {
            "codebooks": count,
            "kbit/s": None,
            "clips": len(heard) if count is None else len(judged),
        }
        if count is not None:
            row["kbit/s"] = round(tokenizer.bitrate(count), 3)
            found = rates(judged, [(clip.original, clip.decoded[count]) for clip in judged])
            row |= {f"d{name}": value for name, value in found.items()}
        spoken = [(clip.transcript, clip.original if count is None else clip.decoded[count]) for clip in written]
        texts = [clip.original if count is None else clip.decoded[count] for clip in heard]
        row["loops"] = sum(map(repeats_itself, texts))
        row |= {"transcripts": len(written), **rates(written, spoken)}
        rows.append(row)
    return rows


def shown(row: dict[str, Any]) -> dict[str, object]:
    """A row as the table has it, rates in per cent."""

    def cell(value: RateAndBounds | None) -> str:
        if value is None or value[0] is None:
            return "-"
        mean, low, high = (None if v is None else f"{100 * v:.1f}" for v in value)
        return f"{mean} [{low}, {high}]" if low else str(mean)

    cells: dict[str, object] = {key: row[key] for key in ("codebooks", "kbit/s", "clips", "loops")}
    cells["codebooks"] = "original" if row["codebooks"] is None else str(row["codebooks"])
    cells |= {f"d{name} %": cell(row.get(f"d{name}")) for name in KINDS}
    cells["transcripts"] = row["transcripts"]
    return cells | {f"{name} %": cell(row[name]) for name in KINDS}


@click.command(help=__doc__)
@click.argument("tokenizer", default="speech")
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path), help="Folder of the audio.")
@click.option("--splits", required=True, type=click.Path(exists=True, path_type=Path), help="Table: path, use.")
@click.option("--use", default="val", show_default=True, help="Which clips of the table.")
@click.option("--manifest", type=click.Path(exists=True, path_type=Path), help="Default: manifest.tsv of DATA.")
@click.option("--codebooks", multiple=True, type=click.IntRange(min=1), help="Numbers of codebooks; default all.")
@click.option("--judge", "judge_name", required=True, metavar="M", help="Whisper: folder or hub id.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many clips, evenly spread over the list.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write rows and every text to this file.")
@click.option("--log", type=click.Path(path_type=Path), help="Append the rows to this JSON-lines file.")
@handle_errors
def main(
    tokenizer: str,
    data: Path,
    splits: Path,
    use: str,
    manifest: Path | None,
    codebooks: tuple[int, ...],
    judge_name: str,
    limit: int | None,
    json_file: Path | None,
    log: Path | None,
) -> None:
    """Listen, count and print; see the module."""
    from codectok import load

    paths = choose(splits, use, limit)
    if not paths:
        raise CodectokError(f"no clips: {splits} marks none with {use!r}")
    clips = manifest_rows(manifest or data / "manifest.tsv", paths)
    for clip, speaker in zip(clips, speakers(splits, paths), strict=True):
        clip.speaker = speaker
    tok = load(tokenizer)
    counts = [tok.choose_codebooks(k, None) for k in codebooks] or [len(tok.codebook_sizes)]
    judge = WhisperJudge(judge_name)
    start = time.perf_counter()
    heard, failed = listen(judge, tok, data, clips, counts)
    seconds = time.perf_counter() - start
    for path, reason in failed.items():
        click.echo(f"failed: {path}: {reason}", err=True)
    if not heard:
        raise CodectokError("the judge heard none of the clips")
    rows = score(heard, counts, tok)
    print_table(f"{tokenizer} on clips marked {use}, {judge_name} judging", [shown(row) for row in rows])
    silent = sum(not clip.original for clip in heard)
    click.echo(
        f"d: against the judge's own text of the original (of {silent} clips it has none: only insertions count "
        f"there); clips left out: {len(failed)}; {seconds:.0f} s"
    )
    record: dict[str, Any] = {"date": datetime.date.today().isoformat(), "fingerprint": tok.fingerprint}
    record |= {"judge": judge_name, "use": use, "limit": limit, "rows": rows, "failed": failed, "silent": silent}
    if log is not None:
        with open(log, "a") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    if json_file is not None:
        everything = record | {"clips": [asdict(clip) for clip in heard]}
        with atomic_path(json_file) as temporary:
            temporary.write_text(json.dumps(everything, indent=2, ensure_ascii=False) + "\n")
    if failed:
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
