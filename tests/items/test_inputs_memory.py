"""A long manifest is read with the memory of a short one."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from codectok.items.corpus import read_corpus

WRITERS: dict[str, Callable[[int], str]] = {
    "m.jsonl": lambda n: json.dumps({"id": f"utt{n}", "path": f"d/{n}.wav", "duration": 1.5}) + "\n",
    "l.txt": lambda n: f"d/{n}.wav\n",
    "t.csv": lambda n: ("id,path\n" if n == 0 else "") + f"u{n},{n}.wav\n",
    "f.tsv": lambda n: (".\n" if n == 0 else "") + f"d/{n}.wav\t16000\n",
    "segments": lambda n: f"utt{n} rec{n % 7} {n / 10} {n / 10 + 3}\n",
}


def peak(path: Path, count: int) -> int:
    next(iter(read_corpus(path)))  # imports what it needs
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_corpus(path)) == count
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", WRITERS)
def test_memory_does_not_grow_with_the_lines(tmp_path: Path, name: str) -> None:
    peaks = []
    for count in (1000, 12_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        (folder / name).write_text("".join(WRITERS[name](n) for n in range(count)))
        if name == "segments":
            (folder / "wav.scp").write_text("".join(f"rec{n} {n}.wav\n" for n in range(7)))
        peaks.append(peak(folder if name == "segments" else folder / name, count))
    assert peaks[1] < peaks[0] + 30_000  # under three bytes a line


@pytest.mark.slow
def test_two_hundred_thousand_lines(tmp_path: Path) -> None:
    peaks = []
    for count in (2000, 200_000):
        path = tmp_path / f"{count}.jsonl"
        path.write_text("".join(WRITERS["m.jsonl"](n) for n in range(count)))
        peaks.append(peak(path, count))
    assert peaks[1] < peaks[0] + 50_000


def test_a_scan_holds_eight_bytes_an_id(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("".join(f"d/{n}.wav\n" for n in range(20_000)))
    read_corpus(tmp_path / "l.txt").scan()  # imports what it needs
    tracemalloc.start()
    read_corpus(tmp_path / "l.txt").scan()
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 20_000 * 8 * 4 + 100_000  # the array as it grows, and its sorted copy


def test_recordings_take_sixteen_bytes(tmp_path: Path) -> None:
    (tmp_path / "wav.scp").write_text("".join(f"recording-{n} /data/{n}.wav\n" for n in range(20_000)))
    (tmp_path / "segments").write_text("".join(f"u{n} recording-{n} 0 1\n" for n in range(0, 20_000, 997)))
    assert peak(tmp_path, 21) < 20_000 * 60


def test_tar_headers_are_let_go(tmp_path: Path) -> None:
    import tarfile

    peaks = []
    for count in (100, 3000):
        with tarfile.open(tmp_path / f"{count}.tar", "w") as tar:
            for n in range(count):
                tar.addfile(tarfile.TarInfo(f"{n}.wav"))
        peaks.append(peak(tmp_path / f"{count}.tar", count))
    assert peaks[1] < peaks[0] + 50_000
