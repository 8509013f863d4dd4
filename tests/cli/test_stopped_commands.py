"""Every command that writes ends by a real signal: in time, in one line, nothing half-written, nobody left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from tests.kmeans.fake_encoder import write_corpus

ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "benchmarks/speech"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds processes in /proc")]


def start(arguments: list[Any], errors: IO[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "codectok", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors, process_group=0, env=environment
    )


def family(group: int) -> list[int]:
    """Processes of a group that are alive."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def stop(arguments: list[Any], ready: Callable[[], bool], number: int, *, to_all: bool = False) -> list[str]:
    """Signal the command when it is ready; the lines of its stderr."""
    with tempfile.TemporaryFile("w+") as errors:
        process = start(arguments, errors)
        deadline = time.monotonic() + 900
        try:
            while not ready():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.005)
            started = time.monotonic()
            os.killpg(process.pid, number) if to_all else process.send_signal(number)
            process.wait(60)
            seconds = time.monotonic() - started
        finally:
            if process.poll() is None:
                process.kill()
        errors.seek(0)
        error = errors.read()
    assert process.returncode == 128 + number, error
    assert seconds < 10
    assert "Traceback" not in error
    lines = error.splitlines()
    assert lines[-1].startswith("stopped: ")
    while left := family(process.pid):  # a server that workers are forked from may be in the middle of an import
        assert time.monotonic() - started < 40, left
        time.sleep(0.05)
    return lines


def temporary(folder: Path) -> list[str]:
    return [
        p.name for p in folder.rglob("*") if re.search(r"\.[0-9a-f]{12}\.tmp", p.name) or p.name in (".lock", "lock")
    ]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four hundred of the clips that ship."""
    folder = tmp_path_factory.mktemp("clips")
    files = sorted(SPEECH.glob("*/*.opus"))
    for i in range(400):
        (folder / f"{i}.opus").symlink_to(files[i % len(files)])
    return folder


def test_encode(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    lines = stop(["encode", clips, "-o", out], lambda: len(list(out.glob("*.ctk"))) > 1, signal.SIGINT)
    done = int(re.fullmatch(r"stopped: (\d+) of 400 files are written, each whole: .* --overwrite", lines[-1])[1])  # type: ignore[index]
    assert len(list(out.glob("*.ctk"))) - done in (0, 1)
    assert temporary(out) == []


@pytest.mark.parametrize("command", ["encode", "extend"])
def test_twenty_moments_of_a_start(command: str, clips: Path, tmp_path: Path) -> None:
    """Most are inside the import of torch or of transformers."""
    if command == "extend":
        pytest.importorskip("peft")
        from tests.llm.tiny_models import folder

        folder(tmp_path / "text")
        arguments: list[Any] = ["llm", "extend", tmp_path / "text", "--tokenizer", "pcm"]
    else:
        arguments = ["encode", next(clips.iterdir())]
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as errors:
        assert start([*arguments, "-o", tmp_path / "whole"], errors).wait(300) == 0
    length = time.monotonic() - began
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").glob("*") if path.is_file()}
    for moment in range(20):
        out = tmp_path / f"{moment}"
        with tempfile.TemporaryFile("w+") as errors:
            process = start([*arguments, "-o", out], errors)
            while process.poll() is None and not handles(process.pid):
                time.sleep(0.002)
            time.sleep(length * moment / 20)
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            status = process.wait(60)
            assert time.monotonic() - began < 10
            errors.seek(0)
            assert status in (0, 143), (moment, errors.read())
        assert temporary(tmp_path) == []
        # A file may be whole already when the signal comes, before the command is done.
        assert (
            all(path.suffix == ".ctk" and path.read_bytes() == whole[path.name] for path in out.glob("*")) or not status
        )


def handles(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return True
    return any(int(line.split()[1], 16) & 1 << signal.SIGTERM - 1 for line in lines if line.startswith("SigCgt"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_tokenize(clips: Path, tmp_path: Path, number: int) -> None:
    out = tmp_path / "out"
    command = ["tokenize", clips, "-o", out, "--workers", 2, "--shard-size", 10]
    lines = stop(command, (out / ".work/00000.json").exists, number, to_all=number == signal.SIGINT)
    assert len(lines) == 1
    assert "items were done, and" in lines[0]
    assert temporary(out) == []
    shards = len(list(out.glob(".work/[0-9]*.json")))
    assert f"{shards} shards are kept: the same command goes on from there" in lines[0]


def test_train_and_a_second_run_into_its_folder(tmp_path: Path) -> None:
    out, log = tmp_path / "run", tmp_path / "run/log.jsonl"
    command = ["train", "tiny", f"out={out}", f"cache={tmp_path / 'cache'}", f"data={SPEECH}", "tensorboard=false"]
    command += [f"splits={SPEECH / 'splits.tsv'}", "steps=100000", "log_every=1", "threads=1", "quantize_from=100000"]
    command += ["adversarial_from=100000"]
    refused: list[subprocess.CompletedProcess[str]] = []

    def ready() -> bool:
        if not (log.exists() and len(log.read_text().splitlines()) > 3):
            return False
        again = [sys.executable, "-m", "codectok", *map(str, command)]
        refused.append(subprocess.run(again, cwd=ROOT, capture_output=True, text=True))
        return True

    lines = stop(command, ready, signal.SIGTERM)
    assert re.search(r"the checkpoint of step \d+ is in .*checkpoint.pt: the same command goes on", lines[-1])
    assert (out / "checkpoint.pt").is_file()
    assert temporary(out) == []
    assert refused[0].returncode == 2
    assert refused[0].stderr == f"Error: another run is writing {out}: wait until it ends, or choose another folder\n"


def test_units_fit(tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    corpus, out = write_corpus(tmp_path / "corpus", [1.0] * 300), tmp_path / "out"
    (tmp_path / "r.yaml").write_text(
        f"data: {corpus}\nencoder: logmel\nlayer: 0\nk: 500\ncache: {tmp_path / 'cache'}\niterations: 10000\n"
    )
    lines = stop(["units", "fit", tmp_path / "r.yaml", "-o", out], (out / ".lock").exists, signal.SIGINT)
    kept = "frames sampled up to two minutes ago, and the last round of k-means"
    assert f"{kept}, are in {tmp_path / 'cache'}" in lines[-1]
    assert not out.exists()


def test_llm(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    import numpy as np

    datasets = pytest.importorskip("datasets")
    from codectok.llm.model.extend import ExtendOptions, extend_folder
    from codectok.llm.vocab.audio_vocab import AudioVocab
    from tests.llm.tiny_models import Codes, folder

    folder(tmp_path / "text")
    extended = tmp_path / "extended"
    (tmp_path / "long.txt").write_text("the quick brown fox " * 10**5)
    command = [
        "llm",
        "extend",
        tmp_path / "text",
        "-o",
        extended,
        "--tokenizer",
        "pcm",
        "--text",
        tmp_path / "long.txt",
    ]
    lines = stop(command, (extended / ".lock").exists, signal.SIGINT)
    assert "nothing is half-written; the same command begins again" in lines[-1]
    assert not extended.exists()
    assert temporary(tmp_path) == []

    extend_folder(str(tmp_path / "text"), extended, Codes(), ExtendOptions())
    ids = [5, 6, *map(int, AudioVocab.load(extended).base_id + np.arange(8))]
    rows = {"input_ids": [ids] * 4, "labels": [ids] * 4, "loss_weights": [[1.0] * len(ids)] * 4}
    (tmp_path / "data").mkdir()
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "data/train.parquet")
    (tmp_path / "s.yaml").write_text(
        "batch: 2\nlog_every: 1\nthreads: 1\nstages:\n- {trainable: new-rows, steps: 100000, learning_rate: 0.001}\n"
    )
    out = tmp_path / "trained"
    log = out / "run/log.jsonl"
    command = ["llm", "train", tmp_path / "data", extended, tmp_path / "s.yaml", "-o", out]
    lines = stop(command, lambda: log.exists() and len(log.read_text().splitlines()) > 2, signal.SIGTERM)
    assert re.search(r"stage 1 of the run is kept as it was after step \d+, in .*: the same command goes on", lines[-1])
    assert (out / "run/checkpoint.safetensors").is_file()
    assert temporary(out) == []


def test_bench(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["bench", "run", "mini-quick", "-o", out, "--cache", tmp_path / "cache", "--workers", 2]
    results = out / "results.jsonl"
    lines = stop(command, lambda: results.exists() and results.read_text().count("\n") > 0, signal.SIGINT, to_all=True)
    done = results.read_text().count('"status": "done"')
    assert f"stopped: {done} cells are in {results}: the same command goes on from there" == lines[-1]
    assert temporary(out) == []
