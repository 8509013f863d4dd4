"""Tiny folders in the layouts of real data sets: ``make_tree("librispeech-asr", tmp_path)`` is the root to open.

The audio is a buzz with the pitch of its speaker and formants that move: enough to train two steps on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.contract import Clip, Dataset
from benchmarks.datasets.speech_commands import KEYWORDS

NUMBERS = ("zero", "one", "two", "three", "four")
TEXTS = ("A CAT", "NO DOG", "THE SUN", "IT'S ME", "GO UP", "SEE IT")
LEXICON = {
    "A": "AH0",
    "CAT": "K AE1 T",
    "NO": "N OW1",
    "DOG": "D AO1 G",
    "THE": "DH AH0",
    "SUN": "S AH1 N",
    "IT'S": "IH1 T S",
    "ME": "M IY1",
    "GO": "G OW1",
    "UP": "AH1 P",
    "SEE": "S IY1",
    "IT": "IH1 T",
}


def voice(speaker: int, seed: int = 0, seconds: float = 0.8, rate: int = 16000) -> np.ndarray:
    """Speech-like sound float32 [S] of speaker number ``speaker``, other words for another ``seed``."""
    rng = np.random.default_rng([speaker, seed])
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum((90 + 17 * speaker) * (1 + 0.05 * np.sin(5 * t + seed))) / rate
    knots = np.linspace(0, seconds, 6)
    formants = [np.interp(t, knots, rng.uniform(low, high, 6)) for low, high in ((300, 800), (900, 2200))]
    sound = sum(
        np.sin(k * phase) * sum(np.exp(-(((k * (90 + 17 * speaker) - f) / 250.0) ** 2)) for f in formants)
        for k in range(1, 16)
    )
    sound = sound / np.abs(sound).max() * 0.5 + 0.005 * rng.standard_normal(len(t))
    return sound.astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = 16000) -> Path:
    """Write audio in the format that the suffix names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".opus":
        soundfile.write(path, samples, rate, format="OGG", subtype="OPUS")
    else:
        soundfile.write(path, samples, rate)
    return path


def text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def librispeech(root: Path) -> None:
    speakers = {"train-clean-100": (19, 26, 27), "dev-clean": (84,), "test-clean": (61, 121), "test-other": (367,)}
    for split, numbers in speakers.items():
        for n in numbers:
            ids = [f"{n}-{n}1-{i:04d}" for i in range(4)]
            for i, ident in enumerate(ids):
                write(root / "LibriSpeech" / split / f"{n}/{n}1/{ident}.flac", voice(n % 7, i))
            rows = [f"{ident} {TEXTS[(n + i) % len(TEXTS)]}" for i, ident in enumerate(ids)]
            text(root / "LibriSpeech" / split / f"{n}/{n}1/{n}-{n}1.trans.txt", *rows)
    text(root / "librispeech-lexicon.txt", *(f"{word}\t{phones}" for word, phones in LEXICON.items()))


def common_voice(root: Path, language: str) -> None:
    columns = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale"
    speakers = {"train": (1, 2, 3, 9), "dev": (4, 5), "test": (6, 9)}  # 9 is in two splits, to be left out of train
    for split, numbers in speakers.items():
        rows = []
        for n in numbers:
            for i in range(3):
                name = f"common_voice_{language}_{split}{n}{i}.mp3"
                write(root / language / "clips" / name, voice(n, i), 32000)
                rows.append(f"client{n}\t{name}\tMae\u2019r {['ŵy', 'gwyn', 'môr'][i]}.\t2\t0\t\t\t\t{language}")
        text(root / language / f"{split}.tsv", columns, *rows)


def gigaspeech(root: Path) -> None:
    subsets = {"POD1": ["{S}", "{XL}"], "POD2": ["{S}"], "YOU3": ["{S}"], "YOU4": ["{DEV}"], "AUD5": ["{TEST}"]}
    audios, translated = [], []
    for n, (aid, marks) in enumerate(subsets.items()):
        path = f"audio/podcast/P0000/{aid}.opus"
        write(root / path, np.concatenate([voice(n, i, 1.0) for i in range(5)]))
        segments = [
            {
                "sid": f"{aid}_S{i:07d}",
                "speaker": "N/A",
                "begin_time": i * 1.0,
                "end_time": i + 0.9,
                "subsets": marks,
                "text_tn": "<MUSIC>" if i == 4 else f"{TEXTS[(n + i) % len(TEXTS)]} <COMMA> NOW <PERIOD>",
            }
            for i in range(5)
        ]
        audios.append({"title": "", "path": path, "aid": aid, "segments": segments})
        if marks != ["{DEV}"]:
            translated.append(
                {"segments": [{"sid": s["sid"], "text_raw": f"Satz {n} {s['sid'][-1]}."} for s in segments]}
            )
    text(root / "GigaSpeech.json", json.dumps({"dataset": "GigaSpeech", "audios": audios}))
    for language in ("de", "zh"):
        text(root / f"GigaST.{language}.json", json.dumps({"dataset": "GigaST", "audios": translated}))


def iemocap(root: Path) -> None:
    for n in range(1, 6):
        dialogue = f"Ses{n:02d}F_impro01"
        session = root / f"Session{n}"
        rows = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]"]
        for i, emotion in enumerate(("ang", "hap", "exc", "sad", "neu", "fru", "xxx")):
            for sex in "FM":
                ident = f"{dialogue}_{sex}{i:03d}"
                write(session / f"sentences/wav/{dialogue}/{ident}.wav", voice(2 * n + (sex == "M"), i, 0.5))
                rows += [
                    "",
                    f"[{i}.2901 - {i}.8357]\t{ident}\t{emotion}\t[2.5000, 2.5000, 2.5000]",
                    "C-E2:\tNeutral;\t()",
                ]
        text(session / f"dialog/EmoEvaluation/{dialogue}.txt", *rows)


def slurp(root: Path) -> None:
    metadata, number = {}, 0
    for split, scenarios in {
        "train": ("alarm", "music", "weather", "alarm"),
        "devel": ("music", "weather"),
        "test": ("alarm", "music", "weather"),
    }.items():
        rows = []
        for scenario in scenarios:
            number += 1
            files = {f"audio-{number}{s}.flac": s for s in range(6)}
            for file, s in files.items():
                write(root / "audio/slurp_real" / file, voice(s, number, 0.5))
            recordings = [{"file": file, "wer": 0.0, "ent_wer": 0.0, "status": "correct"} for file in files]
            rows.append(
                json.dumps({"slurp_id": number, "sentence": "x", "scenario": scenario, "recordings": recordings})
            )
            metadata[str(number)] = {"recordings": {file: {"usrid": f"FO-{s}"} for file, s in files.items()}}
        text(root / f"dataset/slurp/{split}.jsonl", *rows)
    text(root / "dataset/slurp/metadata.json", json.dumps(metadata))


def speech_commands(root: Path) -> None:
    lists: dict[int, list[str]] = {4: [], 5: []}
    for w, word in enumerate((*KEYWORDS, "bed", "cat", "tree")):
        for s in range(6):
            name = f"{word}/{s:08x}_nohash_0.wav"
            write(root / name, voice(s, w, 0.5))
            if s in lists:
                lists[s].append(name)
    text(root / "validation_list.txt", *lists[4])
    text(root / "testing_list.txt", *lists[5])
    for n, noise in enumerate(("pink_noise", "doing_the_dishes")):
        hiss = 0.1 * np.random.default_rng(n).standard_normal(12 * 16000)
        write(root / "_background_noise_" / f"{noise}.wav", hiss.astype(np.float32))


def voxceleb(root: Path) -> None:
    speakers = [f"id{10001 + n}" for n in range(5)] + ["id10270", "id10271"]
    rows = []
    for s, speaker in enumerate(speakers):
        for v in range(3):
            for i in range(2):
                file = f"{speaker}/video{v}/{i + 1:05d}.wav"
                write(root / "wav" / file, voice(s, 10 * v + i, 0.6))
                rows.append(f"{v + 1} {file}")
    text(root / "iden_split.txt", *rows)
    trials = [f"1 {s}/video0/00001.wav {s}/video{v}/0000{i}.wav" for s in speakers[-2:] for v in (1, 2) for i in (1, 2)]
    trials += [f"0 id10270/video{v}/00001.wav id10271/video{w}/00002.wav" for v in range(3) for w in range(3)]
    text(root / "veri_test2.txt", *trials)


def voicebank(root: Path) -> None:
    for split, speakers in {"trainset_28spk": (226, 228, 230, 287), "testset": (232, 257)}.items():
        for n in speakers:
            for i in range(3):
                clean = voice(n % 9, i, 0.6, 48000)
                noise = 0.05 * np.random.default_rng([n, i]).standard_normal(len(clean)).astype(np.float32)
                write(root / f"clean_{split}_wav/p{n}_{i:03d}.wav", clean, 48000)
                write(root / f"noisy_{split}_wav/p{n}_{i:03d}.wav", clean + noise, 48000)


def libri2mix(root: Path) -> None:
    pairs = {
        "train-100": [(19, 26), (26, 27), (27, 19), (19, 27)],
        "dev": [(84, 85), (85, 86)],
        "test": [(61, 121)] * 2,
    }
    for split, found in pairs.items():
        for i, (a, b) in enumerate(found):
            name = f"{a}-1-{i:04d}_{b}-2-{i:04d}.wav"
            first, second = voice(a % 7, i, 0.8), 0.8 * voice(b % 11 + 4, i + 50, 0.8)
            folder = root / "Libri2Mix/wav16k/min" / split
            for part, samples in {"s1": first, "s2": second, "mix_clean": first + second}.items():
                write(folder / part / name, samples)


def ljspeech(root: Path) -> None:
    rows = []
    for chapter in range(1, 5):
        for i in range(3):
            ident = f"LJ{chapter:03d}-{i:04d}"
            write(root / f"LJSpeech-1.1/wavs/{ident}.wav", voice(1, 10 * chapter + i, 0.8, 22050), 22050)
            rows.append(f"{ident}|{TEXTS[i]}, no. {chapter}|{TEXTS[i].lower()}, number {NUMBERS[chapter]}")
    text(root / "LJSpeech-1.1/metadata.csv", *rows)


TREES: dict[str, Callable[[Path], None]] = {
    "librispeech": librispeech,
    "commonvoice-cy": lambda root: common_voice(root, "cy"),
    "commonvoice-eu": lambda root: common_voice(root, "eu"),
    "gigaspeech": gigaspeech,
    "gigast": gigaspeech,
    "iemocap": iemocap,
    "slurp": slurp,
    "speech-commands": speech_commands,
    "voxceleb1": voxceleb,
    "voicebank": voicebank,
    "libri2mix": libri2mix,
    "ljspeech": ljspeech,
}


def make_tree(name: str, folder: Path) -> Path:
    """Build the tree of the data set ``name`` (as suites write it) under ``folder``; the root to open it with."""
    build = next(build for prefix, build in TREES.items() if name.startswith(prefix))
    root = folder / "data"
    build(root)
    return root


def splits(data: Dataset) -> dict[str, tuple[Clip, ...]]:
    """Every split of a data set by name."""
    return {"train": data.train, "valid": data.valid, **data.tests}
