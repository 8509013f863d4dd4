"""Speech Commands v2 (Warden 2018): ten keywords, "unknown" and "silence".

``WORD/SPEAKER_nohash_N.wav``, ``validation_list.txt``, ``testing_list.txt``, ``_background_noise_/*.wav``. As in the
data set's own reader, "unknown" is drawn from the other words and "silence" from the background noise, each a tenth
of the keywords of its split; here both are drawn by a hash, and no stretch of noise is in two splits.
"""

from __future__ import annotations

from pathlib import Path

from codectok.audio import AudioReader
from codectok.errors import CodectokError

from ..contract import Clip, Dataset
from .entry import DatasetEntry
from .layout import lines, need, share

WHAT = "Speech Commands v2 (word folders, validation_list.txt, testing_list.txt, _background_noise_)"
KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
PART = 0.1
SPANS = {"train": (0.0, 0.8), "valid": (0.8, 0.9), "test": (0.9, 1.0)}
"""Where in each noise file the splits' silence lies, as shares of its length."""


def open_ks(name: str, root: Path) -> Dataset:
    """Twelve classes, split by speaker as the lists have it."""
    valid, test = (set(lines(root / f"{which}_list.txt", WHAT)) for which in ("validation", "testing"))
    splits: dict[str, list[Clip]] = {"train": [], "valid": [], "test": []}
    unknown: dict[str, list[Clip]] = {"train": [], "valid": [], "test": []}
    for path in sorted(root.glob("*/*.wav")):
        word = path.parent.name
        if not word.startswith("_"):
            relative = f"{word}/{path.name}"
            split = "test" if relative in test else "valid" if relative in valid else "train"
            label = word if word in KEYWORDS else "unknown"
            clip = Clip(relative, str(path), path.name.partition("_nohash_")[0], label, language="en")
            (splits if word in KEYWORDS else unknown)[split].append(clip)
    noise = _noise(root)
    for split, clips in splits.items():
        number = max(1, round(PART * len(clips))) if clips else 0
        clips += sorted(unknown[split], key=lambda clip: share(clip.id))[:number]
        clips += [_silence(noise, split, i) for i in range(number)]
    return Dataset(
        name=name,
        task="ks",
        train=tuple(splits["train"]),
        valid=tuple(splits["valid"]),
        tests={"test": tuple(splits["test"])},
        rules=("speaker-disjoint",),
        root=str(root),
        licence="CC-BY-4.0",
        note="unknown and silence are drawn by a hash, a tenth of the keywords each: not the separate v2 test archive",
    )


def _noise(root: Path) -> list[tuple[Path, float]]:
    found = []
    for path in sorted(need(root / "_background_noise_", WHAT).glob("*.wav")):
        with AudioReader(path) as reader:
            found.append((path, reader.num_samples / reader.rate))
    if found:
        return found
    raise CodectokError(f"{root / '_background_noise_'} holds no WAV files: give the folder of {WHAT}")


def _silence(noise: list[tuple[Path, float]], split: str, number: int) -> Clip:
    path, seconds = noise[number % len(noise)]
    low, high = (part * seconds for part in SPANS[split])
    length = min(1.0, high - low)
    offset = low + share(f"{split}/{number}") * (high - low - length)
    return Clip(
        id=f"_silence_/{split}-{number}",
        path=str(path),
        speaker=f"background noise, {split}",
        label="silence",
        offset=round(offset, 4),
        duration=round(length, 4) - 1e-3,
    )


KS = DatasetEntry("speech-commands-ks", "ks", open_ks, WHAT)
"""Ten keywords, others and silence."""
