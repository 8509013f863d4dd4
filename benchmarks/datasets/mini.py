"""``mini``: the data sets of the speech that ships with the repository (``benchmarks/mini``)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from codectok.errors import FormatError
from codectok.items.tables import table_rows

from ..contract import Clip, Dataset, Mix, NotComputed, Trial
from .entry import DatasetEntry

FOLDER = Path(__file__).parents[1] / "mini"
Row = dict[str, str]

_ALWAYS = ("utterance-disjoint", "content-disjoint")
RULES = {
    "mini-si": (*_ALWAYS, "closed-set"),
    "mini-sv": (*_ALWAYS, "speaker-disjoint"),
    "mini-lid": (*_ALWAYS, "speaker-disjoint"),
    "mini-asr": (*_ALWAYS, "prompt-disjoint"),
    "mini-se": (*_ALWAYS, "speaker-disjoint"),
    "mini-ss": (*_ALWAYS, "speaker-disjoint"),
    "mini-resynthesis": _ALWAYS,
}
NOTES = {
    "mini-si": "each speaker has one package and one language, so the channel tells speakers apart too; "
    "recordings are single prompts and their sessions are not known",
    "mini-sv": "five of the training speakers are of packages in which two people may share a name",
    "mini-lid": "training and test clips of a language are of different packages, and many are words or letters "
    "of a second; one person may have spoken for a training and a validation package",
    "mini-asr": "one speaker, in train and test; no prompt is in both; listings were not checked by ear",
    "mini-se": "white noise and babble of four others, 0 to 10 dB",
    "mini-ss": "two speakers of any two languages, -3 to 3 dB",
    "mini-resynthesis": "nothing is trained: test clips alone",
}


def open_mini(name: str, root: Path | None = None) -> Dataset:
    """A ``mini`` data set, of the clips that are there: a wheel leaves ``gpl/`` out, and the note says so.

    Args:
        name: e.g. "mini-si".
        root: another folder of the same layout as ``benchmarks/mini``.

    Raises:
        NotComputed: too little is there to make the data set.
        FormatError: a clip is not the one that the tables were made with.
    """
    root = root or FOLDER
    table = {row["path"]: row for row in read_table(root / "clips.tsv")}
    have = {path for path, row in table.items() if _is_there(root, row)}
    splits: dict[str, list[Clip]] = {"train": [], "valid": [], "test": []}
    left_out = 0
    for row in read_table(root / "sets.tsv"):
        if row["set"] == name:
            if have.issuperset((row["path"], *row["other"].split())):
                splits[row["split"]].append(_clip(root, row, table, len(splits[row["split"]])))
            else:
                left_out += 1
    trials = _trials(root, name, splits["test"])
    _check_enough(name, splits, trials)
    note = NOTES[name]
    if left_out:
        note += f"; {left_out} rows left out, as this copy lacks the clips in benchmarks/mini/gpl: run from a clone"
    licences = sorted({table[p]["licence"] for clips in splits.values() for c in clips if (p := _relative(root, c))})
    return Dataset(
        name=name,
        task=name.removeprefix("mini-"),
        train=tuple(splits["train"]),
        valid=tuple(splits["valid"]),
        tests={"test": tuple(splits["test"])},
        rules=RULES[name],
        trials=trials,
        root=str(root),
        licence=", ".join(licences),
        note=note,
    )


def read_table(path: Path) -> list[Row]:
    """Rows of a table, tab-separated, with a line of column names.

    Raises:
        NotComputed: the file is not there.
    """
    if not path.is_file():
        raise NotComputed(f"{path} is missing: run from a clone of the repository")
    return [row for _, row in table_rows(path)]


def _is_there(root: Path, row: Row) -> bool:
    path = root / row["path"]
    if not path.is_file():
        return False
    if hashlib.sha256(path.read_bytes()).hexdigest() != row["sha256"]:
        raise FormatError(f"{path} is not the clip that clips.tsv lists: check it out again", path=path)
    return True


def _clip(root: Path, row: Row, table: dict[str, Row], number: int) -> Clip:
    first, others = table[row["path"]], row["other"].split()
    mix, speaker, ident = None, first["speaker"], row["path"].removesuffix(".opus")
    if row["kind"]:
        paths = "\n".join(str(root / path) for path in others)
        mix = Mix(kind=row["kind"], snr_db=float(row["snr_db"]), other=paths, seed=int(row["seed"] or 0))  # type: ignore[arg-type]
    if row["kind"] == "speaker":
        speaker = f"{speaker}+{table[others[0]]['speaker']}"
        ident = f"{row['split']}-{number:03d}"
    return Clip(
        id=ident,
        path=str(root / row["path"]),
        speaker=speaker,
        label=row["label"],
        language=first["language"],
        mix=mix,
    )


def _trials(root: Path, name: str, test: list[Clip]) -> dict[str, tuple[Trial, ...]]:
    if name != "mini-sv":
        return {}
    ids = {_relative(root, clip): clip.id for clip in test}
    rows = [row for row in read_table(root / "trials.tsv") if row["enrol"] in ids and row["test"] in ids]
    return {"test": tuple(Trial(ids[row["enrol"]], ids[row["test"]], row["same"] == "1") for row in rows)}


def _relative(root: Path, clip: Clip) -> str:
    return Path(clip.path).relative_to(root).as_posix()


def _check_enough(name: str, splits: dict[str, list[Clip]], trials: dict[str, tuple[Trial, ...]]) -> None:
    wanted = ("test",) if name == "mini-resynthesis" else ("train", "valid", "test")
    enough = all(splits[split] for split in wanted)
    if name in ("mini-si", "mini-lid"):
        labels = {clip.label for clip in splits["train"]}
        enough = enough and len(labels) > 1 and labels >= {clip.label for clip in splits["test"]}
    if name == "mini-sv":
        enough = enough and len({trial.same for trial in trials["test"]}) == 2
    if not enough:
        raise NotComputed(f"{name} needs the clips in benchmarks/mini/gpl, which a wheel lacks: run from a clone")


SI = DatasetEntry("mini-si", "si", open_mini)
"""Who speaks, on the clips that ship."""
SV = DatasetEntry("mini-sv", "sv", open_mini)
"""Whether two clips are of one speaker, on the clips that ship."""
LID = DatasetEntry("mini-lid", "lid", open_mini)
"""Which of the languages is spoken, on the clips that ship."""
ASR = DatasetEntry("mini-asr", "asr", open_mini)
"""What one speaker says, on the clips that ship."""
SE = DatasetEntry("mini-se", "se", open_mini)
"""Noise to be taken away, on the clips that ship."""
SS = DatasetEntry("mini-ss", "ss", open_mini)
"""Two voices to be parted, on the clips that ship."""
RESYNTHESIS = DatasetEntry("mini-resynthesis", "resynthesis", open_mini)
"""Clips to be coded and decoded, on the clips that ship."""
