"""Training audio from folders, manifests and tar shards: the same clips, decoded once, or a clear error."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from codectok import AudioError, CodectokError, FormatError, read_audio
from codectok.audio import resample
from train_codec.data import build as build_module
from train_codec.data import list_clips, load_clips, open_clips
from train_codec.data.build import CacheOptions
from train_codec.data.entries import choose
from train_codec.data.files import path_entries

RATE = 16000


def quiet(**changes: object) -> CacheOptions:
    return CacheOptions(**{"say": lambda line: None, "workers": 1, **changes})  # type: ignore[arg-type]


def write(path: Path, seconds: float = 0.5, rate: int = RATE, seed: int = 0, channels: int = 1) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    data = rng.integers(-20000, 20000, (round(seconds * rate), channels)).astype(np.int16)
    soundfile.write(path, data, rate)
    return data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "speech"
    for i in range(24):
        write(root / f"s{i % 12:02d}/c{i:02d}.wav", 0.3 + 0.01 * i, seed=i)
    return root


def test_sixteen_bit_audio_is_kept_bit_for_bit_in_sorted_order(tmp_path: Path) -> None:
    expected = [write(tmp_path / f"in/{name}", seed=i)[:, 0] for i, name in enumerate(("a.flac", "b/c.wav", "d.wav"))]
    clips = open_clips(tmp_path / "in", "", tmp_path / "cache", RATE, options=quiet())
    # The corpus reader orders by the parts of the paths.
    assert [clip.path for clip in clips.clips] == ["a", "b/c", "d"]
    for clip, samples in zip(clips.clips, expected, strict=True):
        assert np.array_equal(np.round(clips.read(clip) * 32768).astype(np.int16), samples)
    assert clips.seconds == pytest.approx(1.5)
    assert clips.sample_rate == RATE


def test_other_rates_are_resampled_and_channels_mixed(tmp_path: Path) -> None:
    write(tmp_path / "in/a.wav", 0.5, rate=22050, channels=2)
    clips = open_clips(tmp_path / "in", "", tmp_path / "cache", RATE, options=quiet())
    samples, rate = read_audio(tmp_path / "in/a.wav")
    expected = resample(samples, rate, RATE)
    assert clips.clips[0].length == 8000
    assert np.abs(clips.read(clips.clips[0]) - expected).max() <= 0.5 / 32768 + 1e-7


def test_full_scale_survives(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(8000, 3.0, np.float32), RATE, "FLOAT")
    clips = load_clips(tmp_path, ["a.wav"], tmp_path / "cache", RATE)
    assert (clips.samples == 32767).all()


def test_val_is_whole_speakers_and_does_not_move_when_others_come(folder: Path, tmp_path: Path) -> None:
    def parts() -> tuple[set[str], set[str]]:
        fit, val = (open_clips(folder, u, tmp_path / "c", RATE, val_share=0.3, options=quiet()) for u in ("fit", "val"))
        return {c.path for c in fit.clips}, {c.path for c in val.clips}

    fit, val = parts()
    assert not fit & val
    assert len(fit | val) == 24
    speakers = {p.partition("/")[0] for p in val}
    assert 1 <= len(speakers) <= 8
    assert not speakers & {p.partition("/")[0] for p in fit}
    for i in range(12, 30):
        write(folder / f"s{i}/new.wav")
    assert {p for p in parts()[1] if not p.endswith("new")} == val


def test_few_speakers_are_split_by_clip_and_no_part_is_empty(tmp_path: Path) -> None:
    for i in range(20):
        write(tmp_path / f"in/only/c{i}.wav", seed=i)
    for share in (0.0, 0.3, 1.0):
        parts = [
            open_clips(tmp_path / "in", u, tmp_path / "c", RATE, val_share=share, options=quiet())
            for u in ("fit", "val")
        ]
        assert all(len(p) for p in parts)
        assert sum(len(p) for p in parts) == 20
    with pytest.raises(CodectokError, match="single clip"):
        choose(path_entries(tmp_path, ["a.wav"]), "fit", 0.1)
    with pytest.raises(CodectokError, match="no 'dev'"):
        choose(path_entries(tmp_path, ["a.wav"]), "dev", 0.1)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_manifests_say_what_is_what(folder: Path, tmp_path: Path, kind: str) -> None:
    rows = [{"path": "s00/c00.wav", "split": "train"}, {"path": "s01/c01.wav", "split": "dev"}]
    rows += [{"path": "s02/c02.wav", "split": "test"}, {"path": "s03/c03.wav", "split": ""}]
    path = folder / f"m.{kind}"
    if kind == "jsonl":
        path.write_text("\n".join(json.dumps(r) for r in rows))
    else:
        comma = "," if kind == "csv" else "\t"
        path.write_text("\n".join(comma.join(r) for r in [rows[0].keys(), *(r.values() for r in rows)]))
    for use, expected in (("fit", "s00/c00"), ("val", "s01/c01"), ("test", "s02/c02")):
        clips = open_clips(path, use, tmp_path / "c", RATE, options=quiet())
        assert [c.path for c in clips.clips] == [expected]
    with pytest.raises(FormatError, match=r"'eval' .*dev, test, train"):
        open_clips(path, "eval", tmp_path / "c", RATE)


def test_manifest_segments_and_speakers(tmp_path: Path) -> None:
    data = write(tmp_path / "a.wav", 10.0)[:, 0]
    rows = [
        {"path": "a.wav", "id": f"u{i}", "offset": i / 2, "duration": 0.5, "speaker": f"p{i // 2}"} for i in range(20)
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    fit, val = (
        open_clips(tmp_path / "m.jsonl", u, tmp_path / "c", RATE, val_share=0.4, options=quiet())
        for u in ("fit", "val")
    )
    assert len(fit) + len(val) == 20
    assert len(val) % 2 == 0  # both clips of a speaker
    clip = fit.clips[3]
    i = int(clip.path[1:])
    assert np.array_equal(fit.samples[clip.start : clip.start + clip.length], data[i * 8000 : (i + 1) * 8000])


def test_splits_table(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "splits.tsv").write_text("path\tuse\ns00/c00.wav\tfit\ns01/c01.wav\tval\n")
    clips = open_clips(folder, "val", tmp_path / "c", RATE, splits=tmp_path / "splits.tsv", options=quiet())
    assert [c.path for c in clips.clips] == ["s01/c01.wav"]
    assert list_clips(folder, tmp_path / "splits.tsv", "fit") == ["s00/c00.wav"]
    with pytest.raises(AudioError, match="marked 'dev'"):
        open_clips(folder, "dev", tmp_path / "c", RATE, splits=tmp_path / "splits.tsv")


# -- shards ------------------------------------------------------------------------------------------------------------


def pack(folder: Path, out: Path, shards: int = 3, marks: bool = False) -> None:
    out.mkdir(parents=True, exist_ok=True)
    files = sorted(folder.rglob("*.wav"))
    for n in range(shards):
        with tarfile.open(out / f"{n:03d}.tar", "w") as tar:
            for i, file in list(enumerate(files))[n * len(files) // shards : (n + 1) * len(files) // shards]:
                name = str(file.relative_to(folder).with_suffix(""))
                tar.add(file, f"./{name}.wav")
                meta = json.dumps({"split": "valid" if i % 2 else "train", "text": "x"}).encode()
                info = tarfile.TarInfo(f"./{name}.json")
                info.size = len(meta)
                if marks:
                    tar.addfile(info, io.BytesIO(meta))


def test_shards_hold_the_same_clips_as_the_folder(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "t")
    expected = open_clips(folder, "", tmp_path / "c", RATE, options=quiet())
    (tmp_path / "t/list.txt").write_text("000.tar\n{001,002}.tar\n")
    sources = [f"{tmp_path}/t/{{000..002}}.tar", f"{tmp_path}/t/*.tar", f"{tmp_path}/t/list.txt"]
    sources += [" ".join(f"{tmp_path}/t/00{i}.tar" for i in range(3))]
    for source in sources:
        found = open_clips(source, "", tmp_path / "c", RATE, options=quiet())
        assert found.clips == expected.clips
        assert np.array_equal(found.samples, expected.samples)
        assert found.fingerprint == expected.fingerprint
    for use in ("fit", "val"):
        parts = [open_clips(s, use, tmp_path / "c", RATE, val_share=0.3, options=quiet()) for s in (folder, sources[0])]
        assert parts[0].clips == parts[1].clips


def test_the_json_beside_a_clip_marks_it(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "t", marks=True)
    fit, val = (open_clips(f"{tmp_path}/t/*.tar", u, tmp_path / "c", RATE, options=quiet()) for u in ("fit", "val"))
    assert len(fit) == len(val) == 12
    assert not {c.path for c in fit.clips} & {c.path for c in val.clips}


def test_bad_shards_are_errors_that_name_them(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "t")
    with pytest.raises(AudioError, match=r"no shard .*003\.tar"):
        open_clips(f"{tmp_path}/t/{{000..003}}.tar", "", tmp_path / "c", RATE)
    whole = (tmp_path / "t/000.tar").read_bytes()
    (tmp_path / "t/000.tar").write_bytes(whole[: len(whole) // 2 + 100])
    with pytest.raises(FormatError, match=r"000\.tar is not a whole tar"):
        open_clips(f"{tmp_path}/t/*.tar", "", tmp_path / "c", RATE)
    (tmp_path / "x.tar.gz").write_bytes(b"x")
    with pytest.raises(FormatError, match="compressed"):
        open_clips(tmp_path / "x.tar.gz", "", tmp_path / "c", RATE)
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(AudioError, match="no audio"):
        open_clips(tmp_path / "empty.tar", "", tmp_path / "c", RATE)


def test_a_damaged_clip_of_a_shard_is_named_by_shard_and_member(tmp_path: Path) -> None:
    for i in range(30):
        write(tmp_path / f"in/{i:02d}.wav", seed=i)
    (tmp_path / "in/07.wav").write_text("words")
    pack(tmp_path / "in", tmp_path / "t", 1)
    said: list[str] = []
    clips = open_clips(tmp_path / "t/000.tar", "", tmp_path / "c", RATE, options=quiet(say=said.append))
    assert len(clips) == 29
    assert len(said) == 1
    assert "000.tar:./07.wav" in said[0]
    assert [p.suffix for p in (tmp_path / "c").iterdir() if p.is_dir()] == []


# -- failures ----------------------------------------------------------------------------------------------------------


def test_unreadable_clips_are_listed_until_they_are_too_many(tmp_path: Path) -> None:
    for i in range(40):
        write(tmp_path / f"in/{i:02d}.wav", seed=i)
    said: list[str] = []
    for i, total in ((3, 1), (5, 2)):
        (tmp_path / f"in/{i:02d}.wav").write_text("words")
        said.clear()
        clips = open_clips(tmp_path / "in", "", tmp_path / "c", RATE, options=quiet(say=said.append))
        assert len(clips) == 40 - total
        assert len(said) == total
        assert all("\n" not in line for line in said)
    (tmp_path / "in/09.wav").write_text("words")
    with pytest.raises(AudioError, match=r"3 of 40 clips are unreadable, more than 5%.*09\.wav"):
        open_clips(tmp_path / "in", "", tmp_path / "c", RATE, options=quiet())


def test_short_clips_are_left_out_with_their_count(tmp_path: Path) -> None:
    write(tmp_path / "in/a.wav", 0.1)
    write(tmp_path / "in/b.wav", 0.2)
    said: list[str] = []
    clips = open_clips(tmp_path / "in", "", tmp_path / "c", RATE, options=quiet(say=said.append))
    assert [c.path for c in clips.clips] == ["b"]
    assert said == ["left out 1 clips shorter than 0.2 s"]
    with pytest.raises(AudioError, match="all 2 clips are shorter than 1 s"):
        open_clips(tmp_path / "in", "", tmp_path / "c", RATE, options=quiet(min_seconds=1.0))


def test_a_source_that_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(CodectokError, match="no corpus"):
        open_clips(tmp_path / "nowhere", "", tmp_path / "c", RATE)
    (tmp_path / "in").mkdir()
    with pytest.raises(AudioError, match="no audio in"):
        open_clips(tmp_path / "in", "", tmp_path / "c", RATE)


def test_a_small_disk_is_an_error_before_anything_is_decoded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CodectokError, match=r"need about 0\.000\d+ GB .* the limit is 0\.0001 GB"):
        open_clips(folder, "", tmp_path / "c", RATE, options=quiet(limit_gb=0.0001))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, build_module.RESERVE + 1000))
    monkeypatch.setattr(build_module, "decode", None)
    with pytest.raises(CodectokError, match="that disk has 1e-06 GB"):
        open_clips(folder, "", tmp_path / "c", RATE, options=quiet())
    assert not list((tmp_path / "c").glob("*.i16"))


def test_the_estimate_of_the_disk_is_close(folder: Path, tmp_path: Path) -> None:
    from train_codec.data.decode import estimate_bytes

    entries = path_entries(folder, [str(p.relative_to(folder)) for p in folder.rglob("*.wav")])
    assert estimate_bytes(entries, RATE) == pytest.approx(2 * 24 * 0.415 * RATE, rel=0.02)


# -- the cache ---------------------------------------------------------------------------------------------------------


def test_decoded_once_and_again_when_a_file_changes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_clips(folder, "", tmp_path / "c", RATE, options=quiet())
    with monkeypatch.context() as patched:
        patched.setattr(build_module, "decode", None)
        again = open_clips(folder, "", tmp_path / "c", RATE, options=quiet())
    assert again.clips == first.clips
    file = folder / "s00/c00.wav"
    size = file.stat().st_size
    write(file, 0.3, seed=99)
    os.utime(file, ns=(1, 1))
    assert file.stat().st_size == size
    changed = open_clips(folder, "", tmp_path / "c", RATE, options=quiet())
    assert changed.fingerprint != first.fingerprint


def test_the_number_of_workers_changes_nothing(folder: Path, tmp_path: Path) -> None:
    one, three = (open_clips(folder, "", tmp_path / str(n), RATE, options=quiet(workers=n)) for n in (1, 3))
    assert one.clips == three.clips
    assert one.fingerprint == three.fingerprint


KILLED = """
import os, sys
from pathlib import Path
from train_codec.data import build, open_clips
real, calls = build.decode, []
def decode(*args):
    calls.append(1)
    if len(calls) > 10:
        os._exit(9)
    return real(*args)
build.decode = decode
open_clips(sys.argv[1], "", sys.argv[2], 16000, options=build.CacheOptions(workers=1))
"""


def test_a_killed_build_leaves_nothing_that_is_used_or_stays(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "c"
    done = subprocess.run([sys.executable, "-c", KILLED, folder, cache], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 9
    assert [p for p in cache.iterdir() if ".tmp" in p.name]
    assert not [p for p in cache.iterdir() if p.suffix == ".json"]
    clips = open_clips(folder, "", cache, RATE, options=quiet())
    assert clips.fingerprint == open_clips(folder, "", tmp_path / "other", RATE, options=quiet()).fingerprint
    assert not [p for p in cache.iterdir() if ".tmp" in p.name]


def test_a_damaged_cache_is_made_again(folder: Path, tmp_path: Path) -> None:
    first = open_clips(folder, "", tmp_path / "c", RATE, options=quiet()).samples.copy()
    for damage in ("data", "index"):
        data, index = next((tmp_path / "c").glob("*.i16")), next((tmp_path / "c").glob("*.json"))
        damaged = data if damage == "data" else index
        damaged.write_bytes(damaged.read_bytes()[:-10])
        assert np.array_equal(open_clips(folder, "", tmp_path / "c", RATE, options=quiet()).samples, first)


def test_processes_that_start_together_decode_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = build_module.decode, []
    monkeypatch.setattr(build_module, "decode", lambda *args: calls.append(1) or real(*args))
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda i: open_clips(folder, "", tmp_path / "c", RATE, options=quiet()), range(3)))
    assert len(calls) == 24
    assert found[0].clips == found[1].clips == found[2].clips
