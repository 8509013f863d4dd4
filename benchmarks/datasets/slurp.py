"""SLURP (Bastianelli et al. 2020): the scenario of a command, 18 classes.

``dataset/slurp/{train,devel,test}.jsonl``, ``dataset/slurp/metadata.json`` (speakers), ``audio/slurp_real/*.flac`` or
``slurp_real/*.flac``. The release's splits hold other commands but mostly the same speakers; "slurp-ic" therefore
draws speakers by a hash and keeps only what is in the right split by command and by speaker; "slurp-ic-official" is
the release's own.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..contract import Clip, Dataset
from .entry import DatasetEntry
from .layout import inside, lines, need, notes, share

WHAT = "SLURP (dataset/slurp/*.jsonl, dataset/slurp/metadata.json, audio/slurp_real)"
SPLITS = {"train": "train", "valid": "devel", "test": "test"}


def open_ic(name: str, root: Path) -> Dataset:
    """Scenarios of the recorded (not the synthesised) commands; all recordings of a command are one session."""
    official = name.endswith("-official")
    folder = need(root / "dataset" / "slurp", WHAT)
    speakers = _speakers(need(folder / "metadata.json", WHAT))
    audio = inside(root / "audio" if (root / "audio").is_dir() else root, "slurp_real")
    found = {split: _clips(folder / f"{name}.jsonl", audio, speakers) for split, name in SPLITS.items()}
    everyone = len(found["train"]) + len(found["valid"]) + len(found["test"])
    of = _draw({clip.speaker for clips in found.values() for clip in clips})
    kept = {
        split: tuple(clip for clip in clips if official or of[clip.speaker] == split) for split, clips in found.items()
    }
    number = sum(map(len, kept.values()))
    trained = {clip.speaker for clip in kept["train"]}
    shared = {clip.speaker for clip in kept["test"]} & trained
    return Dataset(
        name=name,
        task="ic",
        train=kept["train"],
        valid=kept["valid"],
        tests={"test": kept["test"]},
        rules=("session-disjoint",) if official else ("session-disjoint", "speaker-disjoint"),
        root=str(root),
        licence="CC-BY-NC-4.0 (audio), CC-BY-4.0 (text)",
        note=notes(
            f"{len(shared)} test speakers are in train, as in SLURP's own splits" if official else "",
            "" if official else f"speakers kept apart: {number} of the {everyone} recordings of SLURP's own splits",
        ),
    )


def _draw(speakers: set[str]) -> dict[str, str]:
    """A split of each speaker, in the order of a hash: 70 % train, 10 % (at least one) valid, the rest test."""
    ranked = sorted(speakers, key=lambda speaker: (share(speaker), speaker))
    train, valid = round(0.7 * len(ranked)), max(1, round(0.1 * len(ranked)))
    return {s: "train" if i < train else "valid" if i < train + valid else "test" for i, s in enumerate(ranked)}


def _speakers(path: Path) -> dict[str, str]:
    with open(path, encoding="utf-8") as f:
        entries = json.load(f).values()
    return {file: about["usrid"] for entry in entries for file, about in entry["recordings"].items()}


def _clips(path: Path, audio: Path, speakers: dict[str, str]) -> tuple[Clip, ...]:
    found = []
    for line in lines(path, WHAT):
        entry = json.loads(line)
        for recording in entry["recordings"]:
            file = recording["file"]
            found.append(
                Clip(
                    id=Path(file).stem,
                    path=str(audio / file),
                    speaker=speakers.get(file, ""),
                    label=entry["scenario"],
                    session=str(entry["slurp_id"]),
                    language="en",
                )
            )
    return tuple(found)


IC = DatasetEntry("slurp-ic", "ic", open_ic, WHAT)
"""Intent of spoken commands, speakers apart."""
IC_OFFICIAL = DatasetEntry("slurp-ic-official", "ic", open_ic, WHAT)
"""Intent of spoken commands, the official split."""
