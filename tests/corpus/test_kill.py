"""Exactly once: kills at any moment, a full disk, a disk that cannot be written to."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import codectok.corpus.crew
from codectok.cli.tokenize import tokenize
from codectok.items.corpus import read_corpus
from codectok.store import open_store
from codectok.store.verify import verify_store

ROOT = Path(__file__).parents[2]
SHARD, SHARDS, KILLS = 10, 50, 20

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Segments of the clips that ship, some of which are not in their files."""
    clips = sorted((ROOT / "benchmarks/speech").glob("*/*.opus"))
    chance = random.Random(7)
    lines = []
    for i in range(SHARD * SHARDS - 3):
        offset = round(chance.uniform(0, 1), 2) if i % 50 else 1000
        line = {"id": f"utterance-{i}", "path": str(clips[i % len(clips)]), "offset": offset}
        lines.append(line | {"duration": round(chance.uniform(0.1, 1.5), 2)})
    path = tmp_path_factory.mktemp("corpus") / "manifest.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def whole(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run that nothing stopped."""
    out = tmp_path_factory.mktemp("whole") / "s"
    assert CliRunner().invoke(tokenize, arguments(manifest, out)).exit_code == 1
    return content(out)


def arguments(manifest: Path, out: Path, workers: int = 1) -> list[str]:
    options = ["--tokenizer", "random", "--shard-size", str(SHARD), "--workers", str(workers)]
    return [str(manifest), "-o", str(out), *options]


def content(store: Path) -> dict[str, bytes]:
    """All files but the timings."""
    found = {p.relative_to(store).as_posix(): p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()}
    return found | {"stats.json": json.dumps({**json.loads(found["stats.json"]), "run": None}).encode()}


def fork(command: list[str]) -> int:
    """Run the command in a fork of this process, which has all that takes long to import; returns its id."""
    pid = os.fork()
    if pid:
        with contextlib.suppress(OSError):  # both do, so that it is done before either goes on
            os.setpgid(pid, pid)
        return pid
    try:
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        tokenize.main(command, standalone_mode=False)
    finally:
        os._exit(0)


def start(command: list[str]) -> int:
    """Run the command as users do."""
    process = subprocess.Popen(
        [sys.executable, "-m", "codectok", "tokenize", *command],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    process.returncode = 0  # it is waited for here, not by subprocess
    return process.pid


def kill_when(pid: int, out: Path, shards: int, chance: random.Random) -> bool:
    """Kill a process group a moment after so many shards are there; False if it ended by itself before."""
    deadline = time.monotonic() + 120
    while len(list(out.glob(".work/0*.json"))) < shards:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        assert time.monotonic() < deadline
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.03))
    os.killpg(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("how", ["fork", pytest.param("command", marks=pytest.mark.slow)])
def test_twenty_kills_then_finish(manifest: Path, whole: dict[str, bytes], tmp_path: Path, how: str) -> None:
    out, chance, killed = tmp_path / "s", random.Random(how), 0
    last = [SHARDS, SHARDS, SHARDS]  # some while the store is being ended
    for shards in [*sorted(chance.randrange(SHARDS) for _ in range(KILLS - len(last))), *last]:
        command = arguments(manifest, out, workers=2 if how == "command" else 1)
        killed += kill_when(fork(command) if how == "fork" else start(command), out, shards, chance)
    assert killed >= KILLS - len(last) - 2
    result = CliRunner().invoke(tokenize, arguments(manifest, out))
    assert result.exit_code == 1, result.output
    assert content(out) == whole
    store = open_store(out)
    assert list(verify_store(store)) == []
    done = [key for key, _ in store] + [e.id for e in store.errors]
    assert sorted(done) == sorted(item.id for item in read_corpus(manifest))
    assert len(store.errors) == 10


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "codectok-test", str(folder)]
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a small tmpfs")
    yield folder
    subprocess.run(["umount", folder], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_full_disk(manifest: Path, whole: dict[str, bytes], disk: Path, workers: int) -> None:
    for _ in range(2):
        result = CliRunner().invoke(tokenize, arguments(manifest, disk / "s", workers))
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1
        assert "no space left" in result.stderr
        assert "free some space and run the same command again" in result.stderr
        assert not list(disk.rglob("*.tmp*"))
    shards = len(list(disk.glob("s/.work/0*.json")))
    assert 0 < shards < SHARDS
    remount(disk, "size=16m")
    result = CliRunner().invoke(tokenize, [*arguments(manifest, disk / "s", workers), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["resumed_shards"] == shards
    assert content(disk / "s") == whole


def test_a_disk_that_cannot_be_written_to(manifest: Path, disk: Path) -> None:
    remount(disk, "ro")
    result = CliRunner().invoke(tokenize, arguments(manifest, disk / "s"))
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "choose another folder" in result.stderr


def test_small_corpora_start_no_workers(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, bytes]
) -> None:
    monkeypatch.setattr(codectok.corpus.crew, "SMALL_ITEMS", SHARD * SHARDS)
    command = [a for a in arguments(manifest, tmp_path / "s") if a not in ("--workers", "1")]
    result = CliRunner().invoke(tokenize, [*command, "--json"])
    assert json.loads(result.stdout)["run"]["workers"] == 1
    assert content(tmp_path / "s") == whole
