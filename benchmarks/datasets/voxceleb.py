"""VoxCeleb1 (Nagrani et al. 2017): closed-set speaker identification, and verification on Vox1-O.

``wav/SPEAKER/VIDEO/*.wav`` (or ``dev/wav`` and ``test/wav``), ``iden_split.txt``, ``veri_test2.txt`` or
``veri_test.txt``. A session is a video.
"""

from __future__ import annotations

from pathlib import Path

from ..contract import Clip, Dataset, Trial
from .entry import DatasetEntry
from .layout import apart, lines, need, notes, share

WHAT = "VoxCeleb1 (wav/, iden_split.txt, veri_test2.txt or veri_test.txt)"


def open_si(name: str, root: Path) -> Dataset:
    """The published split, in which a clip of a test video is never trained on.

    Where validation clips share a video with training clips, one training video of each speaker is held out instead.
    """
    folders = _folders(root)
    found: dict[str, list[Clip]] = {"1": [], "2": [], "3": []}
    for line in lines(root / "iden_split.txt", WHAT):
        split, file = line.split()
        found[split].append(_clip(folders, root, file))
    test = tuple(found["3"])
    train, lost = apart(test, found["1"], _video, "test videos")
    valid, lost_valid = apart(test, found["2"], _video, "test videos")
    held = ""
    if {_video(clip) for clip in valid} & {_video(clip) for clip in train}:
        videos: dict[str, set[str]] = {}
        for clip in train:
            videos.setdefault(clip.speaker, set()).add(clip.session)
        last = {max(sessions) for sessions in videos.values() if len(sessions) > 1}
        valid = tuple(clip for clip in train if clip.session in last)
        train = tuple(clip for clip in train if clip.session not in last)
        held = "valid is one training video a speaker, as the published one shares videos with train"
    return Dataset(
        name=name,
        task="si",
        train=train,
        valid=valid,
        tests={"test": test},
        rules=("session-disjoint", "closed-set"),
        root=str(root),
        licence="CC-BY-4.0 (lists; the audio under its sources' terms)",
        note=notes(lost and f"train: {lost}", lost_valid and f"valid: {lost_valid}", held),
    )


def open_sv(name: str, root: Path) -> Dataset:
    """Vox1-O trials (cleaned where that list is there); all other speakers train, 1 in 30 of them valid."""
    cleaned = (root / "veri_test2.txt").exists()
    folders = _folders(root)
    clips: dict[str, Clip] = {}
    trials = []
    for line in lines(root / ("veri_test2.txt" if cleaned else "veri_test.txt"), WHAT):
        same, one, other = line.split()
        first, second = (clips.setdefault(file, _clip(folders, root, file)) for file in (one, other))
        trials.append(Trial(first.id, second.id, same == "1"))
    tested = {clip.speaker for clip in clips.values()}
    others = sorted((speaker for speaker in folders if speaker not in tested), key=lambda s: (share(s), s))
    held = set(others[: max(2, round(len(others) / 30))])
    files = {s: [f"{s}/{p.parent.name}/{p.name}" for p in sorted(folders[s].glob("*/*.wav"))] for s in sorted(others)}
    return Dataset(
        name=name,
        task="sv",
        train=tuple(_clip(folders, root, file) for s in files if s not in held for file in files[s]),
        valid=tuple(_clip(folders, root, file) for s in files if s in held for file in files[s]),
        tests={"test": tuple(clips.values())},
        rules=("speaker-disjoint",),
        trials={"test": tuple(trials)},
        root=str(root),
        licence="CC-BY-4.0 (lists; the audio under its sources' terms)",
        note="Vox1-O, cleaned" if cleaned else "Vox1-O as first published",
    )


def _folders(root: Path) -> dict[str, Path]:
    """Folder of each speaker."""
    bases = [root / base for base in ("wav", "dev/wav", "test/wav") if (root / base).is_dir()]
    if not bases:
        need(root / "wav", WHAT)
    return {path.name: path for base in bases for path in sorted(base.iterdir()) if path.is_dir()}


def _clip(folders: dict[str, Path], root: Path, file: str) -> Clip:
    speaker, video, name = file.split("/")
    path = folders.get(speaker, root / "wav" / speaker) / video / name
    return Clip(file, str(path), speaker, speaker, session=f"{speaker}/{video}")


def _video(clip: Clip) -> str:
    return clip.session


SI = DatasetEntry("voxceleb1-si", "si", open_si, WHAT)
"""Who speaks in interviews."""
SV = DatasetEntry("voxceleb1-sv", "sv", open_sv, WHAT)
"""Whether two clips of interviews are of one speaker."""
