"""On a disk that is full or read-only a command ends with one line that names the file, and nothing is half-written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codectok.cli.console import describe
from codectok.files.atomic import atomic_path
from codectok.files.full_disk import disk_error, named

ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "benchmarks/speech"
FULL = "(no space left on device): free some space and run the same command again"


def test_a_library_that_says_it_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="No space") as raised, atomic_path(tmp_path / "a.bin"):
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    assert describe(raised.value) == f"cannot write {tmp_path / 'a.bin'} {FULL}"
    assert list(tmp_path.iterdir()) == []
    assert disk_error(RuntimeError("unexpected pos"), tmp_path / "a") is None
    full = os.statvfs_result((4096, 4096, 9, 0, 0, 9, 9, 9, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    assert disk_error(RuntimeError("unexpected pos"), tmp_path / "a") is not None
    uncounted = os.statvfs_result((4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: uncounted)
    assert disk_error(RuntimeError("unexpected pos"), tmp_path / "a") is None
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    assert disk_error(KeyboardInterrupt(), tmp_path / "a") is None
    assert disk_error(PermissionError(errno.EACCES, "no"), tmp_path / "a") is None


def test_an_open_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"log\.jsonl"), named(tmp_path / "log.jsonl"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(PermissionError, match="no"), named(tmp_path / "log.jsonl"):
        raise PermissionError(errno.EACCES, "no")


def on_a_small_disk(disk: Path, options: str, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a codectok command while ``disk`` is a file system of its own, which nobody else sees."""
    shell = f'mount -t tmpfs -o {options} none "{disk}" && "$@"; status=$?; find "{disk}" -name ".*.tmp*"; exit $status'
    whole = ["unshare", "-Urm", "sh", "-c", shell, "sh", sys.executable, "-m", "codectok", *command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(whole, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def can_mount() -> bool:
    try:
        command = ["unshare", "-Urm", "sh", "-c", "mount -t tmpfs none /mnt"]
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of tokens, a store, a text model and an extended one."""
    if not can_mount():
        pytest.skip("a file system cannot be mounted here without leave")
    pytest.importorskip("pyarrow")
    pytest.importorskip("peft")
    from tests.llm.tiny_models import folder

    base = tmp_path_factory.mktemp("made")
    folder(base / "text")
    recipe = f"data: {SPEECH}\nencoder: logmel\nlayer: 0\nk: 50\ncache: {base / 'disk/cache'}\n"
    (base / "fit.yaml").write_text(recipe)
    (base / "disk").mkdir()
    for command in (
        ["encode", str(SPEECH / "allison"), "-o", str(base / "tokens")],
        ["tokenize", str(SPEECH), "-o", str(base / "store"), "--tokenizer", "units"],
        ["llm", "extend", str(base / "text"), "--tokenizer", "units", "-o", str(base / "extended")],
    ):
        subprocess.run([sys.executable, "-m", "codectok", *command], cwd=ROOT, check=True, capture_output=True)
    return base


COMMANDS = {
    "encode": ("8k", "encode {speech} -o {disk}/out --tokenizer units"),
    "tokenize": ("64k", "tokenize {speech} -o {disk}/out --tokenizer speech"),
    "decode": ("64k", "decode {made}/tokens -o {disk}/out"),
    "decode a store": ("64k", "decode {made}/store -o {disk}/out"),
    "convert": ("16k", "convert {made}/store -o {disk}/out --format jsonl"),
    "inspect": ("64k", "inspect {speech}/allison/0642-transfer.opus -o {disk}/out"),
    "train": ("64k", "train tiny out={disk}/out"),
    "units fit": ("64k", "units fit {made}/fit.yaml -o {disk}/out"),
    "units bpe": ("4k", "units bpe {made}/store --vocab-size 600 -o {disk}/bpe.json"),
    "extend": ("64k", "llm extend {made}/text --tokenizer units -o {disk}/out"),
    "pack": ("16k", "llm pack {made}/store --model {made}/extended --task speech-continuation -o {disk}/out"),
    "bench": ("4k", "bench run mini-quick -o {disk}/out --cache {disk}/cache --workers 2"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("options", ["full", "read-only"])
def test_one_line_and_nothing_half_written(made: Path, name: str, options: str) -> None:
    size, command = COMMANDS[name]
    words = command.format(speech=SPEECH, made=made, disk=made / "disk").split()
    ran = on_a_small_disk(made / "disk", f"size={size}" if options == "full" else "ro", words)
    assert ran.returncode == 2, ran.stderr
    lines = [line for line in ran.stderr.splitlines() if line.startswith("Error")]
    assert ran.stderr.count("\n") <= 3, ran.stderr
    assert len(lines) == 1, ran.stderr
    reason = "no space left on device" if options == "full" else "read-only file system"
    assert f"({reason})" in lines[0]
    assert str(made / "disk") in lines[0]
    assert ".tmp" not in ran.stdout
