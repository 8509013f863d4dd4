"""Fill this folder from a speech pack: ``python -m benchmarks.mini.choose PACK``, always with the same result.

PACK is a folder with the clips and a manifest.tsv (path, speaker, language, seconds, transcript, source_package,
licence); ``codectok/pretrained/speech/splits.tsv`` says which of them a shipped model was fitted on. ``plan.py`` says
what is wanted.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from codectok.items.tables import table_rows

from ..split_tables import read_splits
from . import plan
from .text import spoken

HERE = Path(__file__).parent
SPLITS = HERE.parents[1] / "codectok/pretrained/speech/splits.tsv"
CLIP_COLUMNS = ("path", "speaker", "language", "seconds", "transcript", "source_package", "licence", "use", "sha256")
SET_COLUMNS = ("set", "split", "path", "label", "kind", "snr_db", "other", "seed")
TRIAL_COLUMNS = ("enrol", "test", "same")
Row = dict[str, str]


def draw(*parts: object) -> int:
    """A number from 0 to 2^32 - 1 that its arguments settle."""
    return int(hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:8], 16)


def between(low: float, high: float, *parts: object) -> float:
    """A number from low to high, in steps of 0.01, that ``parts`` settle."""
    return round(low + (high - low) * draw(*parts) / 2**32, 2)


def read_pack(pack: Path) -> list[Row]:
    """Rows of the manifest with their ``use``, in an order that a hash of the path settles; dev clips are left out."""
    uses = {row["path"]: row["use"] for row in read_splits(SPLITS)}
    rows = [dict(row, use=uses[row["path"]]) for _, row in table_rows(pack / "manifest.tsv", ("path", "licence"))]
    return sorted((row for row in rows if row["use"] != "dev"), key=lambda row: draw(row["path"]))


def place(row: Row) -> str:
    """Where a clip stands in this folder, by its licence."""
    folder = "gpl" if row["licence"].startswith("GPL") else "cc"
    return f"{folder}/{row['speaker']}/{Path(row['path']).name}"


def pick(
    rows: list[Row], name: str, wants: plan.Plan, text: Callable[[Row], str] | None = None
) -> dict[str, list[Row]]:
    """Clips of each split: no clip, and with ``text`` no text, is used twice; the test set chooses first."""
    low, high = plan.SECONDS.get(name, plan.DEFAULT_SECONDS)
    used: set[str] = set()
    found: dict[str, list[Row]] = {}
    for split in sorted(wants):  # test, train, valid
        ranked = [row for row in rows if split != "test" or row["use"] == "mini-test"]
        if split != "test":  # spare what other test sets may want
            ranked.sort(key=lambda row: row["use"] == "mini-test")
        for speaker, language, number in wants[split]:
            chosen: list[Row] = []
            for row in ranked:
                keys = {row["path"], text(row)} if text else {row["path"]}
                if (
                    len(chosen) < number
                    and (row["speaker"] == speaker and row["language"].startswith(language))
                    and (low <= float(row["seconds"]) <= high and "" not in keys and not keys & used)
                ):
                    used |= keys
                    chosen.append(row)
            found.setdefault(split, []).extend(chosen)
    return found


def english(row: Row) -> str:
    """What is said, where the listing tells; "" for other languages."""
    return spoken(row["transcript"], float(row["seconds"])) if row["language"].startswith("en") else ""


def labelled(rows: list[Row], name: str, wants: plan.Plan, label: Callable[[Row], str]) -> Iterator[Row]:
    """Rows of a data set whose clips are heard as they are."""
    for split, clips in pick(rows, name, wants, label if name == "asr" else None).items():
        for row in clips:
            yield {"set": f"mini-{name}", "split": split, "path": place(row), "label": label(row)}


def noisy(rows: list[Row]) -> Iterator[Row]:
    """Every clean clip with white noise or with the babble of four others of its split, by turns."""
    for split, clips in pick(rows, "se", plan.CLEAN).items():
        for i, row in enumerate(clips):
            voices = sorted((draw(row["path"], c["path"]), place(c)) for c in clips if c["speaker"] != row["speaker"])
            yield {
                "set": "mini-se",
                "split": split,
                "path": place(row),
                "kind": "babble" if i % 2 else "white",
                "snr_db": str(between(*plan.SNR_SE, "snr", row["path"])),
                "other": " ".join(path for _, path in voices[:4]) if i % 2 else "",
                "seed": str(draw("noise", row["path"])),
            }


def mixed(rows: list[Row]) -> Iterator[Row]:
    """Pairs of clips of two speakers of one split, every first clip in turn."""
    for split, clips in pick(rows, "ss", plan.CLEAN).items():
        seen: set[tuple[str, str]] = set()
        for turn in range(plan.MIXTURES[split]):
            first = clips[turn % len(clips)]
            others = [c for c in clips if c["speaker"] != first["speaker"] and (first["path"], c["path"]) not in seen]
            second = min(others, key=lambda c: draw("pair", turn, first["path"], c["path"]))
            seen |= {(first["path"], second["path"]), (second["path"], first["path"])}
            yield {
                "set": "mini-ss",
                "split": split,
                "path": place(first),
                "kind": "speaker",
                "snr_db": str(between(*plan.SNR_SS, "level", turn, first["path"])),
                "other": place(second),
            }


def trials(clips: list[Row]) -> Iterator[Row]:
    """As many pairs of one speaker as of two, every two speakers about as often as any other two."""
    pairs: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for i, a in enumerate(clips):
        for b in clips[i + 1 :]:
            key = tuple(sorted((a["speaker"], b["speaker"])))
            pairs.setdefault((key[0], key[1]), []).append((place(a), place(b)))
    for found in pairs.values():
        found.sort(key=lambda pair: draw(*pair))
    same = [pair for (a, b), found in pairs.items() if a == b for pair in found[: plan.TRIALS_PER_SPEAKER]]
    others = [found for (a, b), found in pairs.items() if a != b]
    turns = [found[i] for i in range(max(map(len, others))) for found in others if i < len(found)]
    for kind, chosen in (("1", same), ("0", turns[: len(same)])):
        for enrol, test in chosen:
            yield {"enrol": enrol, "test": test, "same": kind}


def choose(pack: Path, out: Path = HERE) -> None:
    """Write clips.tsv, sets.tsv, trials.tsv and copies of the clips into ``out``."""
    rows = read_pack(pack)
    sets = [
        *labelled(rows, "si", plan.SI, lambda row: row["speaker"]),
        *labelled(rows, "sv", plan.SV, lambda row: row["speaker"]),
        *labelled(rows, "lid", plan.LID, lambda row: row["language"].split("-")[0]),
        *labelled(rows, "asr", plan.ASR, english),
        *noisy(rows),
        *mixed(rows),
        *labelled(rows, "resynthesis", plan.RESYNTHESIS, english),
    ]
    wanted = {path for row in sets for path in (row["path"], *row.get("other", "").split())}
    for old in out.glob("*/*/*.opus"):
        if old.relative_to(out).as_posix() not in wanted:
            old.unlink()
    clips = []
    for row in sorted(rows, key=place):
        if place(row) in wanted:
            data = (pack / row["path"]).read_bytes()
            clips.append(dict(row, path=place(row), sha256=hashlib.sha256(data).hexdigest()))
            (out / place(row)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(pack / row["path"], out / place(row))
    write(out / "clips.tsv", CLIP_COLUMNS, clips)
    write(out / "sets.tsv", SET_COLUMNS, sets)
    write(out / "trials.tsv", TRIAL_COLUMNS, list(trials(pick(rows, "sv", plan.SV)["test"])))


def write(path: Path, columns: tuple[str, ...], rows: list[Row]) -> None:
    """A table, tab-separated, with a line of column names."""
    lines = ["\t".join(columns), *("\t".join(row.get(c, "") for c in columns) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    choose(Path(sys.argv[1]))
