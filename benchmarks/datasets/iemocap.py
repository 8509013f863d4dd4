"""IEMOCAP (Busso et al. 2008): emotion of acted dialogues in four classes, one session of two speakers held out.

``Session{1..5}/dialog/EmoEvaluation/*.txt`` and ``Session{1..5}/sentences/wav/DIALOGUE/*.wav``.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..contract import Clip, Dataset
from .entry import DatasetEntry
from .layout import inside, lines, need

WHAT = "IEMOCAP_full_release (Session1 to Session5)"
CLASSES = {"ang": "ang", "hap": "hap", "exc": "hap", "sad": "sad", "neu": "neu"}
"""Excitement counts as happiness, as the field does; other emotions are left out."""
SESSIONS = 5
_LINE = re.compile(r"^\[[\d.]+ - [\d.]+\]\t(\S+)\t(\w+)\t")


def open_er(name: str, root: Path) -> Dataset:
    """Fold N ("iemocap-er-foldN"; "iemocap-er" is fold 1): session N is the test set, the next valid, three train."""
    fold = int(name.rpartition("fold")[2]) if "fold" in name else 1
    folder = inside(root, "IEMOCAP_full_release")
    sessions = {number: _clips(folder, number) for number in range(1, SESSIONS + 1)}
    after = fold % SESSIONS + 1
    train = tuple(clip for n, clips in sessions.items() if n not in (fold, after) for clip in clips)
    return Dataset(
        name=name,
        task="er",
        train=train,
        valid=sessions[after],
        tests={"test": sessions[fold]},
        rules=("speaker-disjoint", "session-disjoint"),
        root=str(root),
        licence="IEMOCAP licence (on request, research)",
        note=f"fold {fold} of {SESSIONS}: two test speakers; run all folds for the field's figure. "
        "The scripted dialogues are the same in every session",
    )


def _clips(folder: Path, number: int) -> tuple[Clip, ...]:
    session = need(folder / f"Session{number}", WHAT)
    found = []
    for listing in sorted(need(session / "dialog" / "EmoEvaluation", WHAT).glob("Ses*.txt")):
        for line in lines(listing, WHAT):
            match = _LINE.match(line)
            if match and match[2] in CLASSES:
                ident, dialogue = match[1], match[1].rpartition("_")[0]
                path = session / "sentences" / "wav" / dialogue / f"{ident}.wav"
                speaker = f"Ses{number:02d}{ident.rpartition('_')[2][0]}"  # who speaks, not who wears the markers
                found.append(Clip(ident, str(path), speaker, CLASSES[match[2]], session=dialogue, language="en"))
    return tuple(found)


ER = DatasetEntry("iemocap-er", "er", open_er, WHAT)
"""Emotion of acted dialogues: the first fold."""
ER_FOLD1 = DatasetEntry("iemocap-er-fold1", "er", open_er, WHAT)
"""Emotion of acted dialogues: session 1 is the test set."""
ER_FOLD2 = DatasetEntry("iemocap-er-fold2", "er", open_er, WHAT)
"""Emotion of acted dialogues: session 2 is the test set."""
ER_FOLD3 = DatasetEntry("iemocap-er-fold3", "er", open_er, WHAT)
"""Emotion of acted dialogues: session 3 is the test set."""
ER_FOLD4 = DatasetEntry("iemocap-er-fold4", "er", open_er, WHAT)
"""Emotion of acted dialogues: session 4 is the test set."""
ER_FOLD5 = DatasetEntry("iemocap-er-fold5", "er", open_er, WHAT)
"""Emotion of acted dialogues: session 5 is the test set."""
