"""Known corpora: a tiny tree in each layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from codectok.cli.main import main
from codectok.corpus.prepare import CORPORA, prepare
from codectok.errors import CodectokError, FormatError
from codectok.items.corpus import read_corpus
from codectok.items.sources import open_item

SECONDS = 0.05


def audio(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.sin(np.arange(int(16000 * SECONDS))) * 0.3, 16000)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def librispeech(root: Path) -> None:
    here = root / "LibriSpeech/dev-clean/84/121123"
    for n in (0, 1, 3):
        audio(here / f"84-121123-000{n}.flac")
    text(here / "84-121123.trans.txt", "84-121123-0000 GO DO YOU HEAR\n84-121123-0001 BUT\n84-121123-0002 NOT THERE\n")
    audio(root / "LibriSpeech/train-clean-100/103/1240/103-1240-0000.flac")
    text(root / "LibriSpeech/train-clean-100/103/1240/103-1240.trans.txt", "103-1240-0000 CHAPTER ONE\n")
    text(root / "LibriSpeech/SPEAKERS.TXT", "; comment\n")


def libritts(root: Path) -> None:
    here = root / "dev-clean/84/121123"
    for n in (0, 1):
        audio(here / f"84_121123_00000{n}_000000.wav")
    text(here / "84_121123_000000_000000.normalized.txt", "Go! Do you hear?\n")
    text(here / "84_121123_000000_000000.original.txt", "Go!\n")
    text(here / "84_121123_000002_000000.normalized.txt", "Gone.")


def ljspeech(root: Path) -> None:
    audio(root / "wavs/LJ001-0001.wav")
    audio(root / "wavs/LJ001-0009.wav")
    text(
        root / "metadata.csv", 'LJ001-0001|Printing, in 1455 "so|Printing, in fourteen fifty-five "so\nLJ001-0002|a|b\n'
    )


def vctk(root: Path) -> None:
    for name in ("p225/p225_001_mic1.flac", "p225/p225_001_mic2.flac", "p315/p315_001_mic1.flac"):
        audio(root / "wav48_silence_trimmed" / name)
    text(root / "txt/p225/p225_001.txt", "Please call Stella.\n")
    text(root / "txt/p225/p225_002.txt", "Ask her.\n")


def vctk_old(root: Path) -> None:
    audio(root / "wav48/p225/p225_001.wav")
    text(root / "txt/p225/p225_001.txt", "Please call Stella.\n")


def commonvoice(root: Path) -> None:
    head = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\tsegment\n"
    for n in (1, 2, 3):
        audio(root / f"de/clips/common_voice_de_{n}.mp3")
    text(root / "de/train.tsv", head + 'c1\tcommon_voice_de_1.mp3\tSie sagte "ja\t2\t0\t\t\t\tde\t\n')
    text(
        root / "de/test.tsv",
        head + "c2\tcommon_voice_de_2.mp3\t\t2\t0\t\t\t\tde\t\nc3\tgone.mp3\tWeg\t2\t0\t\t\t\tde\t\n",
    )


def gigaspeech(root: Path) -> None:
    path = "audio/podcast/P0000/POD0000000001.opus"
    (root / path).parent.mkdir(parents=True)
    soundfile.write(root / path, np.zeros(48000), 16000, format="OGG", subtype="OPUS")
    segments = [
        {
            "sid": "POD1_S1",
            "speaker": "N/A",
            "begin_time": 0.1,
            "end_time": 0.3,
            "subsets": ["{XL}", "{L}"],
            "text_tn": "HI <COMMA>",
        },
        {"sid": "POD1_S2", "speaker": "x", "begin_time": 0.5, "end_time": 2.25, "subsets": ["{XL}"], "text_tn": ""},
    ]
    lost = {"path": "audio/lost.opus", "segments": [segments[1] | {"sid": "LOST", "subsets": ["{DEV}", "{XL}"]}]}
    whole = {
        "dataset": "GigaSpeech",
        "language": "EN",
        "audios": [{"title": "[x]", "path": path, "segments": segments}, lost],
    }
    text(root / "GigaSpeech.json", json.dumps(whole, indent=2))


def voxpopuli(root: Path) -> None:
    here = root / "transcribed_data/de"
    head = "id\traw_text\tnormalized_text\tspeaker_id\tsplit\tgender\n"
    audio(here / "2009/20090112-0900-PLENARY-3-de_1.ogg")
    text(here / "asr_train.tsv", head + "20090112-0900-PLENARY-3-de_1\tHerr P!\therr p\t28377\ttrain\tmale\n")
    text(here / "asr_dev.tsv", head + "20100112-lost\tX\tx\tNone\tdev\tmale\n")


def mls(root: Path) -> None:
    here = root / "mls_german/dev"
    audio(here / "audio/2225/1911/2225_1911_000000.flac")
    audio(here / "audio/2225/1911/2225_1911_000009.flac")
    text(here / "transcripts.txt", "2225_1911_000000\tacht stunden\n2225_1911_000001\tweg\n")
    text(here / "segments.txt", "2225_1911_000000\thttp://x/y.mp3\t0\t17\n")


def speechcommands(root: Path) -> None:
    for name in ("yes/0a_nohash_0.wav", "yes/0b_nohash_0.wav", "no/0a_nohash_0.wav", "_background_noise_/pink.wav"):
        audio(root / name)
    text(root / "validation_list.txt", "yes/0b_nohash_0.wav\n")
    text(root / "testing_list.txt", "no/0a_nohash_0.wav\nno/lost_nohash_1.wav\n")


# Tree, then of each split its (id, text, speaker), then what is missing: (kind, end of the path).
CASES: list[tuple[str, Callable[[Path], None], dict[str, list[tuple]], list[tuple[str, str]]]] = [
    (
        "librispeech",
        librispeech,
        {
            "dev-clean": [
                ("84-121123-0000", "GO DO YOU HEAR", "84"),
                ("84-121123-0001", "BUT", "84"),
                ("84-121123-0003", None, "84"),
            ],
            "train-clean-100": [("103-1240-0000", "CHAPTER ONE", "103")],
        },
        [("audio", "0002.flac"), ("text", "0003.flac")],
    ),
    (
        "LibriTTS",
        libritts,
        {"dev-clean": [("84_121123_000000_000000", "Go! Do you hear?", "84"), ("84_121123_000001_000000", None, "84")]},
        [("text", "000001_000000.wav"), ("audio", "000002_000000.wav")],
    ),
    (
        "ljspeech",
        ljspeech,
        {"all": [("LJ001-0001", 'Printing, in fourteen fifty-five "so', "LJ")]},
        [("audio", "LJ001-0002.wav"), ("unlisted", "LJ001-0009.wav")],
    ),
    (
        "vctk",
        vctk,
        {
            "mic1": [("p225_001_mic1", "Please call Stella.", "p225"), ("p315_001_mic1", None, "p315")],
            "mic2": [("p225_001_mic2", "Please call Stella.", "p225")],
        },
        [("audio", "p225_002_mic1.flac"), ("text", "p315_001_mic1.flac")],
    ),
    ("vctk", vctk_old, {"all": [("p225_001", "Please call Stella.", "p225")]}, []),
    (
        "common-voice",
        commonvoice,
        {"de/train": [("common_voice_de_1", 'Sie sagte "ja', "c1")], "de/test": [("common_voice_de_2", None, "c2")]},
        [("text", "de_2.mp3"), ("audio", "gone.mp3"), ("unlisted", "de_3.mp3")],
    ),
    (
        "gigaspeech",
        gigaspeech,
        {"XL": [("POD1_S1", "HI <COMMA>", None), ("POD1_S2", None, "x")], "L": [("POD1_S1", "HI <COMMA>", None)]},
        [("text", "POD0000000001.opus"), ("audio", "lost.opus"), ("audio", "lost.opus")],
    ),
    (
        "voxpopuli",
        voxpopuli,
        {"de/train": [("20090112-0900-PLENARY-3-de_1", "herr p", "28377")]},
        [("audio", "2010/20100112-lost.ogg")],
    ),
    (
        "mls",
        mls,
        {"mls_german/dev": [("2225_1911_000000", "acht stunden", "2225")]},
        [("audio", "000001.flac"), ("unlisted", "000009.flac")],
    ),
    (
        "speech-commands",
        speechcommands,
        {
            "train": [("yes/0a_nohash_0", "yes", "0a")],
            "validation": [("yes/0b_nohash_0", "yes", "0b")],
            "test": [("no/0a_nohash_0", "no", "0a")],
        },
        [("audio", "lost_nohash_1.wav"), ("unlisted", "pink.wav")],
    ),
]


@pytest.mark.parametrize(("name", "tree", "splits", "missing"), CASES)
def test_layouts(tmp_path: Path, name: str, tree: Callable[[Path], None], splits: dict, missing: list) -> None:
    root, out = tmp_path / "corpus", tmp_path / "out"
    root.mkdir()
    tree(root)
    made = prepare(name, root, out)
    for split, expected in splits.items():
        lines = [json.loads(line) for line in (out / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
        assert [(x["id"], x.get("text"), x.get("speaker")) for x in lines] == expected
        assert {x["split"] for x in lines} == {split}
        assert {x["language"] for x in lines} == {
            "de" if "de" in split and name != "librispeech" and "dev-clean" not in split else "en"
        }
        corpus = read_corpus(out / f"{split}.jsonl")
        assert corpus.scan().num_items == made.splits[split].clips == len(expected)
        for item in corpus:
            with open_item(item) as reader:
                samples = sum(len(b) for b in reader.blocks())
            if item.path.endswith((".flac", ".wav")):
                assert item.duration == SECONDS == samples / reader.rate
    listed = [json.loads(line) for line in (out / "missing.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(listed) == len(missing) == made.problems
    for line, (kind, end) in zip(listed, missing, strict=True):
        assert line["kind"] == kind
        assert line["path"].endswith(end)
    assert made.no_audio == sum(kind == "audio" for kind, _ in missing)
    assert made.unlisted == sum(kind == "unlisted" for kind, _ in missing)


def test_every_corpus_has_a_case() -> None:
    assert {name.lower().replace("-", "") for name, *_ in CASES} == set(CORPORA)


def test_gigaspeech_times_are_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gigaspeech(tmp_path)
    monkeypatch.setattr("codectok.corpus.prepare.gigaspeech._BLOCK", 7)  # every object is cut by a block's end
    prepare("gigaspeech", tmp_path, tmp_path / "o")
    items = list(read_corpus(tmp_path / "o/XL.jsonl"))
    assert [(i.offset, i.duration) for i in items] == [(0.1, 0.2), (0.5, 1.75)]
    data = (tmp_path / "GigaSpeech.json").read_text()
    for broken, message in {data[: len(data) // 2]: "cut off", "{}": "no list of audios"}.items():
        (tmp_path / "GigaSpeech.json").write_text(broken)
        with pytest.raises(FormatError, match=message):
            prepare("gigaspeech", tmp_path, tmp_path / "o2")
        assert not any((tmp_path / "o2").glob("*"))


@pytest.mark.parametrize("name", CORPORA)
def test_another_layout_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "in/x").mkdir(parents=True)
    with pytest.raises(FormatError, match=r"is not laid out as expected: give .*"):
        prepare(name, tmp_path / "in", tmp_path / "out")
    assert not any((tmp_path / "out").glob("*"))
    with pytest.raises(CodectokError, match="there is no folder"):
        prepare(name, tmp_path / "none", tmp_path / "out")


def test_damaged_audio_is_listed(tmp_path: Path) -> None:
    ljspeech(tmp_path / "in")
    (tmp_path / "in/wavs/LJ001-0002.wav").write_bytes(b"RIFFnope")
    prepare("ljspeech", tmp_path / "in", tmp_path / "out")
    first = json.loads((tmp_path / "out/missing.jsonl").read_text().splitlines()[0])
    assert first["id"] == "LJ001-0002"
    assert "cannot be read as audio" in first["message"]


def test_command(tmp_path: Path) -> None:
    run = CliRunner().invoke
    listed = run(main, ["corpus", "prepare", "--list"])
    assert listed.exit_code == 0
    assert all(name in listed.output for name in CORPORA)
    speechcommands(tmp_path / "in")
    arguments = ["corpus", "prepare", "speechcommands", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    made = run(main, arguments)
    assert made.exit_code == 1  # a file of a list is not there
    assert "1 audio files" in made.output
    assert "missing.jsonl" in made.output
    (tmp_path / "in/testing_list.txt").write_text("no/0a_nohash_0.wav\n")
    assert run(main, [*arguments, "--json"]).exit_code == 0
    assert run(main, ["corpus", "prepare", "timit", str(tmp_path), "-o", "x"]).exit_code == 2
    assert run(main, ["corpus", "prepare", "mls"]).exit_code == 2
