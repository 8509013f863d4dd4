"""The speech that ships: licences, sizes, splits, and that no test clip was heard by a shipped model."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.contract import Dataset, LeakageError, NotComputed
from benchmarks.datasets import dataset_names, open_dataset, read_clip, read_targets
from benchmarks.datasets.mini import FOLDER, read_table
from benchmarks.mini import plan
from benchmarks.mini.choose import CLIP_COLUMNS, write
from benchmarks.split_tables import read_splits
from codectok.audio import read_audio
from codectok.errors import FormatError

NAMES = [name for name in dataset_names() if name.startswith("mini-")]
SPLITS = FOLDER.parents[1] / "codectok/pretrained/speech/splits.tsv"
TABLE = read_table(FOLDER / "clips.tsv")
DATA = {name: open_dataset(name) for name in NAMES}


def relative(path: str) -> str:
    return Path(path).relative_to(FOLDER).as_posix()


def heard(data: Dataset, split: str) -> set[str]:
    """Paths of every recording in a split, those that are mixed in included."""
    clips = {"train": data.train, "valid": data.valid, **data.tests}[split]
    return {relative(p) for c in clips for p in (c.path, *(c.mix.other.splitlines() if c.mix else ()))}


def test_the_tables_and_the_folder_hold_the_same_clips() -> None:
    files = {p.relative_to(FOLDER).as_posix() for p in FOLDER.glob("*/*/*.opus")}
    assert files == {row["path"] for row in TABLE}
    assert files == {p for data in DATA.values() for split in ("train", "valid", "test") for p in heard(data, split)}


def test_the_clips_are_what_the_table_says() -> None:
    for row in TABLE:
        assert hashlib.sha256((FOLDER / row["path"]).read_bytes()).hexdigest() == row["sha256"]
        assert row["path"].startswith("gpl/" if row["licence"].startswith("GPL") else "cc/")


def test_size() -> None:
    total = sum(p.stat().st_size for p in FOLDER.rglob("*") if p.is_file())
    assert total < 8 * 2**20
    assert sum(p.stat().st_size for p in FOLDER.glob("*/*/*.opus")) < 6 * 2**20


def test_every_package_has_its_notice_and_its_line() -> None:
    words = (FOLDER / "ATTRIBUTION.md").read_text()
    for row in TABLE:
        folder = FOLDER / row["path"].split("/")[0] / "licences"
        assert any(row["source_package"].startswith(p.stem) for p in folder.glob("*.txt")), row
        assert row["source_package"] in words
        assert row["licence"].removeprefix("LicenseRef-") in words
        assert row["speaker"] in words or f"{row['speaker'].split('-')[0]}-*" in words
    assert "GNU GENERAL PUBLIC LICENSE" in (FOLDER / "gpl/COPYING").read_text()


def test_no_shipped_model_was_fitted_on_or_chosen_by_a_test_clip() -> None:
    uses = {Path(r["path"]).parts[-2:]: r["use"] for r in read_splits(SPLITS)}
    assert {row["path"]: row["use"] for row in TABLE} == {
        row["path"]: uses[Path(row["path"]).parts[-2:]] for row in TABLE
    }
    fitted = {row["path"] for row in TABLE if row["use"] != "mini-test"}
    assert fitted
    for data in DATA.values():
        assert not heard(data, "test") & fitted
    assert "dev" not in {row["use"] for row in TABLE}


def test_every_clip_opens_and_is_as_long_as_listed() -> None:
    for row in TABLE:
        samples, rate = read_audio(FOLDER / row["path"])
        assert rate == 16000
        assert len(samples) / rate == pytest.approx(float(row["seconds"]), abs=0.02), row["path"]
        assert np.abs(samples).max() > 0.05


@pytest.mark.parametrize("name", NAMES)
def test_clips_are_heard_with_what_is_mixed_in(name: str) -> None:
    data = DATA[name]
    for clip in [*data.train, *data.valid, *data.tests["test"]][::23]:
        x, targets = read_clip(clip), read_targets(clip)
        assert 0.7 * 16000 < len(x) < 10 * 16000
        assert [len(t) for t in targets] == [len(x)] * (2 if name == "mini-ss" else 1)
        assert np.isfinite(x).all()


def test_the_data_sets_are_stable() -> None:
    """A change here makes every earlier result of these data sets another one's: raise the version of the suites."""
    assert {name: data.sha256[:12] for name, data in DATA.items()} == SHA256


SHA256 = {
    "mini-si": "814662a4de4b",
    "mini-sv": "11d6ec11d634",
    "mini-lid": "88008bf140a0",
    "mini-asr": "253e759ebaa0",
    "mini-se": "f191fe9eab2b",
    "mini-ss": "9e5319b78376",
    "mini-resynthesis": "befa31f72abe",
}


def test_sizes_of_the_data_sets() -> None:
    sizes = {n: (len(d.train), len(d.valid), len(d.tests["test"])) for n, d in DATA.items()}
    assert sizes == {
        "mini-si": (224, 56, 110),
        "mini-sv": (176, 24, 63),
        "mini-lid": (245, 47, 85),
        "mini-asr": (210, 24, 60),
        "mini-se": (96, 26, 42),
        "mini-ss": (96, 16, 40),
        "mini-resynthesis": (0, 0, 44),
    }


def test_speaker_identification_is_closed_and_balanced() -> None:
    data = DATA["mini-si"]
    assert Counter(c.label for c in data.train) == dict.fromkeys(plan.KNOWN, 16)
    assert min(Counter(c.label for c in data.tests["test"]).values()) >= 6


def test_trials_are_balanced_and_of_unseen_speakers() -> None:
    data = DATA["mini-sv"]
    trials = data.trials["test"]
    speaker = {c.id: c.speaker for c in data.tests["test"]}
    assert all(t.same == (speaker[t.enrol] == speaker[t.test]) and t.enrol != t.test for t in trials)
    assert sum(t.same for t in trials) * 2 == len(trials) >= 400
    assert len({frozenset((t.enrol, t.test)) for t in trials}) == len(trials)
    pairs = Counter(frozenset((speaker[t.enrol], speaker[t.test])) for t in trials if not t.same)
    assert max(pairs.values()) - min(pairs.values()) <= 1


def test_languages_are_balanced_and_of_unseen_speakers() -> None:
    data = DATA["mini-lid"]
    assert Counter(c.label for c in data.tests["test"]) == dict.fromkeys(("en", "de", "fr", "ru", "nl"), 17)
    assert {c.label for c in data.train} == {c.label for c in data.valid} == {c.label for c in data.tests["test"]}
    assert not {c.speaker for c in data.train} & {c.speaker for c in data.tests["test"]}


def test_prompts_are_letters_and_not_shared() -> None:
    data = DATA["mini-asr"]
    labels = [c.label for c in (*data.train, *data.valid, *data.tests["test"])]
    assert len(set(labels)) == len(labels)
    assert set("".join(labels)) <= set("abcdefghijklmnopqrstuvwxyz' ")
    assert "one speaker" in data.note


def test_mixtures_are_of_two_speakers_and_babble_of_others() -> None:
    for clip in (*DATA["mini-ss"].train, *DATA["mini-ss"].tests["test"]):
        first, second = clip.speaker.split("+")
        assert first != second
        assert clip.mix is not None
        assert -3 <= clip.mix.snr_db <= 3
    speaker = {row["path"]: row["speaker"] for row in TABLE}
    kinds = Counter()
    for clip in DATA["mini-se"].train:
        assert clip.mix is not None
        assert 0 <= clip.mix.snr_db <= 10
        kinds[clip.mix.kind] += 1
        assert clip.speaker not in {speaker[relative(p)] for p in clip.mix.other.splitlines()}
    assert kinds == {"white": 48, "babble": 48}


def test_resynthesis_hears_many_speakers_and_languages() -> None:
    test = DATA["mini-resynthesis"].tests["test"]
    assert len({c.speaker for c in test}) >= 20
    assert len({c.language for c in test}) >= 15
    assert read_targets(test[0])[0].shape == read_clip(test[0]).shape


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(FOLDER, tmp_path / "mini", ignore=shutil.ignore_patterns("__pycache__", "licences"))
    return tmp_path / "mini"


def test_without_the_gpl_clips_what_can_be_opened_is_and_says_so(copy: Path) -> None:
    shutil.rmtree(copy / "gpl")
    for name in ("mini-si", "mini-asr", "mini-se", "mini-resynthesis"):
        data = open_dataset(name, copy)
        assert "GPL" not in data.licence
        whole = len(data.tests["test"]) == len(DATA[name].tests["test"])
        assert ("left out" in data.note) == (not whole) == (name != "mini-asr")
    for name in ("mini-sv", "mini-lid", "mini-ss"):
        with pytest.raises(NotComputed, match="run from a clone"):
            open_dataset(name, copy)


def test_a_changed_clip_is_refused(copy: Path) -> None:
    (copy / TABLE[0]["path"]).write_bytes(b"other")
    with pytest.raises(FormatError, match=r"is not the clip that clips\.tsv lists"):
        open_dataset("mini-si", copy)


@pytest.mark.parametrize("name", ["mini-si", "mini-lid", "mini-asr"])
def test_an_overlap_planted_in_the_tables_is_refused(copy: Path, name: str) -> None:
    rows = (copy / "sets.tsv").read_text().splitlines()
    train = next(row for row in rows if row.startswith(f"{name}\ttrain"))
    (copy / "sets.tsv").write_text("\n".join([*rows, train.replace("\ttrain\t", "\ttest\t")]) + "\n")
    with pytest.raises(LeakageError, match=f"{name} is not utterance-disjoint"):
        open_dataset(name, copy)


def test_a_renamed_copy_of_a_training_clip_is_refused(copy: Path) -> None:
    rows = read_table(copy / "sets.tsv")
    train = next(row for row in rows if row["set"] == "mini-si" and row["split"] == "train")
    other = f"cc/{Path(train['path']).parent.name}/renamed.opus"
    shutil.copyfile(copy / train["path"], copy / other)
    clips = read_table(copy / "clips.tsv")
    clips.append(dict(next(row for row in clips if row["path"] == train["path"]), path=other))
    write(copy / "clips.tsv", CLIP_COLUMNS, clips)
    write(copy / "sets.tsv", tuple(train), [*rows, dict(train, split="test", path=other)])
    with pytest.raises(LeakageError, match="mini-si is not content-disjoint"):
        open_dataset("mini-si", copy)
