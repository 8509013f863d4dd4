"""Worker processes: the same bytes as without, whatever dies."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok import load
from codectok.corpus.pipeline import TokenizeSummary, tokenize_corpus
from codectok.corpus.plan import plan
from codectok.errors import CodectokError
from codectok.items.corpus import read_corpus
from codectok.store import open_store
from codectok.tokenizer import Tokenizer
from tests.corpus.tokenizers import Deadly, DeadlyOnce, Incomplete, Loudness, Shaped, Sleepier, Sleepy, Unsendable

SPEECH = Path(__file__).parents[2] / "benchmarks/speech"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """Nine files of 0.05 to 0.75 s."""
    folder = tmp_path / "audio"
    folder.mkdir()
    for i in range(9):
        noise = np.random.default_rng(i).normal(size=400 + 700 * (i * 5 % 9)) * 0.05 * (i + 1)
        soundfile.write(folder / f"{i}.wav", np.clip(noise, -0.9, 0.9), 8000, subtype="FLOAT")
    return folder


def make_loud(audio: Path, name: str) -> None:
    samples, rate = soundfile.read(audio / f"{name}.wav")
    samples[0] = 1.0
    soundfile.write(audio / f"{name}.wav", samples, rate, subtype="FLOAT")


def run(corpus: Path, out: Path, tokenizer: Tokenizer, **options: Any) -> TokenizeSummary:
    options = {"items_per_shard": 4, "batch_seconds": 1.0} | options
    return tokenize_corpus(read_corpus(corpus), tokenizer, out, **options)


def content(store: Path) -> dict[str, bytes]:
    """All files but the timings."""
    found = {p.relative_to(store).as_posix(): p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()}
    return found | {"stats.json": json.dumps({**json.loads(found["stats.json"]), "run": None}).encode()}


# -- the plan -------------------------------------------------------------------------------------------------------

lengths = st.lists(st.one_of(st.floats(0, 200), st.just(math.inf)), max_size=40)


@settings(deadline=None)
@given(lengths, st.floats(0.1, 100), st.booleans())
def test_plan_has_each_item_once_longest_first_and_bounded(lengths: list[float], limit: float, causal: bool) -> None:
    batches = plan(lengths, limit, causal=causal)
    flat = [i for batch in batches for i in batch.indices]
    assert sorted(flat) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[i] for i in batch.indices)
        assert len(batch.indices) == 1 or len(batch.indices) * longest <= limit
        assert batch.streamed == (causal and 60 < longest < math.inf)
    plain = [lengths[i] for batch in batches if not batch.streamed for i in batch.indices]
    assert plain == sorted(plain, reverse=True)


@settings(deadline=None)
@given(st.lists(st.floats(0.1, 50), min_size=2, max_size=40), st.floats(1, 100))
def test_no_two_neighbouring_batches_would_fit_into_one(lengths: list[float], limit: float) -> None:
    batches = plan(lengths, limit, causal=True)
    for a, b in pairwise(batches):
        assert (len(a.indices) + 1) * lengths[a.indices[0]] > limit
        assert lengths[a.indices[-1]] >= lengths[b.indices[0]]


# -- bytes ----------------------------------------------------------------------------------------------------------


def test_bytes_do_not_depend_on_workers_or_resume(audio: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run(audio, tmp_path / "1", Shaped())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)

    def stop(done: int, total: int) -> None:
        if done > 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(audio, tmp_path / "2", Shaped(), progress=stop)
    resumed = run(audio, tmp_path / "2", Shaped(), workers=2)
    assert resumed.resumed_shards == 1
    assert content(tmp_path / "1") == content(tmp_path / "2")
    figures = resumed.stats["run"]
    assert figures["workers"] == 2
    assert 0 < figures["busy_share"] <= 1
    assert min(figures[f"{name}_seconds"] for name in ("read", "encode", "startup")) > 0


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"workers": 3}, {"device": "cpu,cpu", "workers": 4}])
def test_bytes_do_not_depend_on_more_workers_or_devices(audio: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    run(audio, tmp_path / "1", Shaped())
    assert run(audio, tmp_path / "2", Shaped(), **options).stats["run"]["workers"] > 1
    assert content(tmp_path / "1") == content(tmp_path / "2")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["speech", "units"])
def test_the_shipped_tokenizers_give_the_same_bytes_in_workers(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "audio"
    folder.mkdir()
    for path in sorted(SPEECH.glob("*/*.opus")):
        (folder / path.name).symlink_to(path)
    for workers in (1, 2):
        run(folder, tmp_path / str(workers), load(name), items_per_shard=5, batch_seconds=20.0, workers=workers)
    assert content(tmp_path / "1") == content(tmp_path / "2")


def test_a_tokenizer_that_cannot_be_sent_works_here(audio: Path, tmp_path: Path) -> None:
    summary = run(audio, tmp_path / "s", Unsendable(), workers=2)
    assert summary.items == 9
    assert summary.stats["run"]["workers"] == 1


def test_too_many_failures_end_the_run_and_a_higher_limit_goes_on(audio: Path, tmp_path: Path) -> None:
    for name in ("0", "5", "6"):
        (audio / f"{name}.wav").write_bytes(b"RIFF")
    with pytest.raises(CodectokError, match=r"^2 items failed, more than --max-errors 1; the last: .*Finished shards"):
        run(audio, tmp_path / "s", Loudness(), max_errors=1)
    assert [p.name for p in (tmp_path / "s/shards").iterdir()] == ["00000.parquet"]
    with pytest.raises(CodectokError, match=r"^3 items failed, more than --max-errors 2"):
        run(audio, tmp_path / "s", Loudness(), max_errors=2)  # the one in the finished shard counts
    summary = run(audio, tmp_path / "s", Loudness(), max_errors=3)
    assert (summary.items, summary.failed, summary.resumed_shards) == (6, 3, 1)


# -- deaths ---------------------------------------------------------------------------------------------------------


def test_an_item_that_kills_its_workers_is_recorded_and_takes_no_other_with_it(audio: Path, tmp_path: Path) -> None:
    make_loud(audio, "4")
    summary = run(audio, tmp_path / "s", Deadly(), workers=2, items_per_shard=9, batch_seconds=2.0)
    assert [(e.id, e.kind) for e in summary.first_errors] == [("4", "WorkerDied")]
    assert "killed by signal 9" in summary.first_errors[0].message
    assert "leave it out" in summary.first_errors[0].message
    assert [key for key, _ in open_store(tmp_path / "s")] == [str(i) for i in range(9) if i != 4]


@pytest.mark.slow
def test_a_batch_whose_worker_was_killed_is_done_again(audio: Path, tmp_path: Path) -> None:
    run(audio, tmp_path / "s", DeadlyOnce(tmp_path / "died"), workers=2)
    assert (tmp_path / "died").exists()
    tokenizer = Loudness()
    tokenizer.fingerprint = DeadlyOnce.fingerprint
    run(audio, tmp_path / "t", tokenizer)
    assert content(tmp_path / "s") == content(tmp_path / "t")


@pytest.mark.slow
def test_a_missing_package_ends_the_run(audio: Path, tmp_path: Path) -> None:
    with pytest.raises(CodectokError, match=r"no_such_package.*install it"):
        run(audio, tmp_path / "s", Incomplete(), workers=2)


@pytest.mark.slow
def test_workers_that_cannot_start_say_so(audio: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from codectok import load\nfrom codectok.items.corpus import read_corpus\n"
        "from codectok.corpus.pipeline import tokenize_corpus\n"
        f"tokenize_corpus(read_corpus({str(audio)!r}), load('random'), {str(tmp_path / 's')!r}, workers=2)\n"
    )
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert "__name__" in result.stderr.splitlines()[-1]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize("device", [None, pytest.param("cpu,cpu", marks=pytest.mark.slow)])
def test_no_worker_outlives_a_main_process_that_is_killed(audio: Path, tmp_path: Path, device: str | None) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.corpus.test_engine import run; "
        "from tests.corpus.tokenizers import Sleepy\n"
        f"if __name__ == '__main__': run(Path(sys.argv[1]), Path(sys.argv[2]), Sleepy(), workers=2, device={device!r}, "
        "items_per_shard=2, batch_seconds=0.1)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, audio, tmp_path / "s"], cwd=ROOT)
    try:
        deadline = time.monotonic() + 100
        while not (tmp_path / "s/.work/00000.json").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        family = [pid for child in children(process.pid) for pid in (child, *children(child))]
    finally:
        process.kill()
        process.wait()
    assert len(family) >= 3
    while any(alive(pid) for pid in family):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert run(audio, tmp_path / "s", Sleepy(), items_per_shard=2, batch_seconds=0.1).items == 9


def hear_ctrl_c() -> None:
    """A child inherits that a signal is ignored or blocked, as in a shell's background job."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_ends_in_one_line(audio: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from tests.corpus.test_engine import slow_command; slow_command()"]
    arguments = [str(audio), "-o", str(tmp_path / "s"), "--workers", "2", "--shard-size", "2", "--batch-seconds", "0.1"]
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        preexec_fn=hear_ctrl_c,
    )
    deadline = time.monotonic() + 100
    while not (tmp_path / "s/.work/00000.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert len(error.splitlines()) == 1
    assert "the same command goes on" in error


def slow_command() -> None:
    """``codectok tokenize`` with a tokenizer that leaves time."""
    import codectok.opening
    from codectok.cli.tokenize import tokenize

    codectok.opening.open_named = lambda name, device="cpu": Sleepier()
    tokenize()
